"""Share the skills of an agent with others, as `Agent.share` and `teachmesh up` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from teachmesh.agent.node import Node
from teachmesh.bank.mesh_file import MeshFile
from teachmesh.errors import ConfigError
from teachmesh.sharing.endpoints import choose_protocols
from teachmesh.sharing.mesh_certificates import tls_identity
from teachmesh.sharing.own_transport import ZENOH, make_transport

if TYPE_CHECKING:
    from teachmesh.agent.bank_view import BankView
    from teachmesh.agent.learning_agent import LearningAgent
    from teachmesh.sharing.transport import Transport


def share_skills(
    agent: LearningAgent,
    listen: str | Sequence[str],
    join: str | Sequence[str],
    transport: str,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    *,
    tls: bool = False,
    insecure: bool = False,
) -> Node:
    """Return a node that is not running yet; see `Agent.share` for arguments and errors."""
    listening, joining = (
        (given,) if isinstance(given, str) else tuple(given) for given in (listen, join)
    )
    if transport != ZENOH:  # its own package decides about encryption
        made = make_transport(transport, agent.id, listen=listening, join=joining)
    else:
        made = connect(agent, listening, joining, tls=tls, insecure=insecure)
    agent.trust.settle_policy((*listening, *joining))
    return Node(agent, made, on_event or _ignore)


def connect(
    agent: BankView,
    listen: Sequence[str],
    join: Sequence[str],
    *,
    tls: bool = False,
    insecure: bool = False,
) -> Transport:
    """Return a Zenoh transport of an agent, encrypted unless all endpoints are on loopback.

    Args:
        agent: the agent whose keys are used.
        listen: endpoints to listen on.
        join: endpoints of other agents.
        tls: whether to encrypt on loopback, too.
        insecure: whether to allow plain connections everywhere, for laboratories.

    Raises:
        NetworkError: an endpoint is not valid, or is not encrypted.
        ConfigError: other agents of a mesh are to be joined, and this agent is in no mesh.
    """
    chosen = choose_protocols(listen, join, tls=tls, insecure=insecure)
    identity = None
    if chosen.encrypted:
        mesh = MeshFile(agent.home.path)
        if chosen.join and not mesh.exists():
            raise ConfigError(
                "expected an invite, because this agent is in no mesh yet; run `teachmesh invite` "
                "on an agent of the mesh, then `teachmesh up --join INVITE` here"
            )
        identity = tls_identity(agent.key, mesh.load_or_create())
    return make_transport(ZENOH, agent.id, listen=chosen.listen, join=chosen.join, tls=identity)


def _ignore(event: dict[str, Any]) -> None:
    """Do nothing with an event, which the node has logged."""
    del event
