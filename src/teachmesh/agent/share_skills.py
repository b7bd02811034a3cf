"""Share the skills of an agent with others, as `Agent.share` and `teachmesh up` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from teachmesh.agent.node import Node
from teachmesh.agent.run_endpoints import RunEndpoints
from teachmesh.sharing.own_transport import make_transport

if TYPE_CHECKING:
    from teachmesh.agent.learning_agent import LearningAgent


def share_skills(
    agent: LearningAgent,
    listen: str | Sequence[str],
    join: str | Sequence[str],
    transport: str,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    *,
    discover: bool = False,
) -> Node:
    """Return a node that is not running yet; see `Agent.share` for arguments and errors."""
    listening, joining = (
        (given,) if isinstance(given, str) else tuple(given) for given in (listen, join)
    )
    endpoints = RunEndpoints(agent.home.path, listening, joining, remember=discover)
    made = make_transport(
        transport, agent.id, listen=endpoints.listen, join=endpoints.join, discover=discover
    )
    agent.trust.settle_policy((*endpoints.listen, *endpoints.join))
    return Node(agent, made, on_event or _ignore, endpoints)


def _ignore(event: dict[str, Any]) -> None:
    """Do nothing with an event, which the node has logged."""
    del event
