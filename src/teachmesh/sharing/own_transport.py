"""Make transports by name: Zenoh, or one of another package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from teachmesh.data.entry_points import TRANSPORTS_GROUP, EntryPoints
from teachmesh.data.names import did_you_mean, shown
from teachmesh.errors import ConfigError, UsageError
from teachmesh.sharing.own_addresses import is_open
from teachmesh.sharing.transport import Transport

if TYPE_CHECKING:
    from teachmesh.sharing.mesh_certificates import TlsIdentity

ZENOH = "zenoh"
"""Name of the transport of teachmesh."""


class TransportFactory(Protocol):
    """Function or class that makes a transport; the object of an entry point."""

    def __call__(self, agent_id: str, *, listen: Sequence[str], join: Sequence[str]) -> Transport:
        """Make a transport that is not started yet.

        Args:
            agent_id: id of this agent.
            listen: endpoints to listen on, as the user wrote them.
            join: endpoints of other agents.

        Raises:
            NetworkError: an endpoint is not valid.
        """


def _checked(name: str, found: Any) -> TransportFactory:
    if not callable(found):
        raise TypeError(f"expected a function that makes a transport, got {found!r:.80}")
    return partial(_made, name, found)


def _made(
    name: str,
    factory: TransportFactory,
    agent_id: str,
    *,
    listen: Sequence[str],
    join: Sequence[str],
) -> Transport:
    made = factory(agent_id, listen=listen, join=join)
    if not isinstance(made, Transport):
        raise ConfigError(
            f"expected the transport {name!r} to make a Transport, got {made!r:.80}; repair its "
            "package or use another --transport"
        )
    return made


OWN_TRANSPORTS = EntryPoints(TRANSPORTS_GROUP, "transport", _checked, (ZENOH,))
"""Factories of transports of other packages, by name."""


def make_transport(
    name: str,
    agent_id: str,
    *,
    listen: Sequence[str] = (),
    join: Sequence[str] = (),
    tls: TlsIdentity | None = None,
    discover: bool = False,
) -> Transport:
    """Make a transport that is not started yet.

    Args:
        name: "zenoh", or the name of an entry point in the group `teachmesh.transports`.
        agent_id: id of this agent.
        listen: endpoints to listen on.
        join: endpoints of other agents.
        tls: certificates, for `zenoh` only.
        discover: whether agents of the local network find each other, with zenoh and if an endpoint
            is reachable from there.

    Raises:
        UsageError: no transport has this name.
        ConfigError: the transport of another package cannot be used.
        NetworkError: an endpoint is not valid.
    """
    if name == ZENOH:
        # Imported here because Zenoh is slow to load, and another transport does not need it.
        from teachmesh.sharing.zenoh_transport import DISCOVERY, ZenohTransport

        group = DISCOVERY if discover and is_open(listen) else None
        return ZenohTransport(agent_id, listen=listen, join=join, discover=group, tls=tls)
    known = (ZENOH, *OWN_TRANSPORTS.names())
    if name not in known:
        raise UsageError(
            f"expected a transport out of {', '.join(known)}, got {shown(name)!r}"
            f"{did_you_mean(name, known)}"
        )
    return OWN_TRANSPORTS.load(name)(agent_id, listen=listen, join=join)
