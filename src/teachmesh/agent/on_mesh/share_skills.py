"""Share the skills of an agent with others, as `Agent.share` and `teachmesh up` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from teachmesh.agent.on_mesh.mesh_invites import Door, join_meshes
from teachmesh.agent.on_mesh.node import Node
from teachmesh.agent.on_mesh.run_endpoints import RunEndpoints
from teachmesh.bank.known_endpoints import KnownEndpoints
from teachmesh.bank.mesh_file import MeshFile
from teachmesh.errors import ConfigError
from teachmesh.sharing.endpoints import LOOPBACK, Endpoints, choose_protocols
from teachmesh.sharing.mesh_certificates import TlsIdentity, tls_identity
from teachmesh.sharing.own_transport import ZENOH, make_transport

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.teaching.learning_agent import LearningAgent
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
    discover: bool = False,
) -> Node:
    """Return a node that is not running yet; see `Agent.share` for arguments and errors."""
    listening, joining = (
        (given,) if isinstance(given, str) else tuple(given) for given in (listen, join)
    )
    report = on_event or _ignore
    if transport != ZENOH:  # its own package decides about encryption
        endpoints = RunEndpoints(agent.home.path, listening, joining, remember=discover)
        made = make_transport(
            transport, agent.id, listen=endpoints.listen, join=endpoints.join, discover=discover
        )
        agent.trust.settle_policy((*endpoints.listen, *endpoints.join))
        return Node(agent, made, report, endpoints)
    joining = join_meshes(agent, joining, report)
    earlier = KnownEndpoints(agent.home.path).joined if discover else ()
    chosen = choose_protocols(listening, joining, tls=tls, insecure=insecure, earlier=earlier)
    identity = _identity(agent, chosen)
    endpoints = RunEndpoints(
        agent.home.path, chosen.listen, chosen.join, remember=discover, fits=chosen.fits
    )
    made = make_transport(
        ZENOH,
        agent.id,
        listen=endpoints.listen,
        join=endpoints.join,
        discover=discover,
        tls=identity,
    )
    agent.trust.settle_policy((*endpoints.listen, *endpoints.join))
    door = None if identity is None else Door(agent, identity, made.endpoints)
    return Node(agent, made, report, endpoints, door)


def connect(agent: BankView, join: Sequence[str]) -> Transport:
    """Return a Zenoh transport that joins other agents, encrypted unless all are on loopback.

    Args:
        agent: the agent whose keys are used.
        join: endpoints of other agents.

    Raises:
        NetworkError: an endpoint is not valid, or is not encrypted.
        ConfigError: the agent is in no mesh.
    """
    chosen = choose_protocols((LOOPBACK,), join)
    tls = _identity(agent, chosen)
    return make_transport(ZENOH, agent.id, listen=chosen.listen, join=chosen.join, tls=tls)


def _identity(agent: BankView, chosen: Endpoints) -> TlsIdentity | None:
    """Return the agent's certificates; None if no endpoint is encrypted."""
    if not chosen.encrypted:
        return None
    mesh = MeshFile(agent.home.path)
    if chosen.join and not mesh.exists():
        raise ConfigError(
            "expected an invite, because this agent is in no mesh yet; run `teachmesh invite` "
            "on an agent of the mesh, then `teachmesh up --join INVITE` here"
        )
    return tls_identity(agent.key, mesh.load_or_create())


def _ignore(event: dict[str, Any]) -> None:
    """Do nothing with an event, which the node has logged."""
    del event
