"""Transport over Eclipse Zenoh in peer mode, without a router.

The code works around three properties of Zenoh, and `zenoh_broadcasts` around another:

- A peer does not relay messages for other peers.
- With blocking congestion control, one frozen peer stalls all other peers for seconds. Congested
  broadcasts are therefore dropped, and gossip makes up for the loss.
- A session may hang when it is closed. Closing therefore runs in a thread, and `close` waits less
  than two seconds for it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Sequence

import zenoh

from teachmesh.errors import NetworkError
from teachmesh.sharing.endpoints import parse_endpoint, with_free_port
from teachmesh.sharing.join_watch import JoinState, JoinWatch, Link, endpoint_of
from teachmesh.sharing.mesh_certificates import TlsIdentity
from teachmesh.sharing.own_addresses import split_endpoint
from teachmesh.sharing.transport import (
    KINDS,
    MAX_ANNOUNCEMENT_BYTES,
    MAX_BODY_BYTES,
    Handler,
    Transport,
    is_address,
)
from teachmesh.sharing.zenoh_broadcasts import Broadcasts

PREFIX = "teachmesh/1"
CLOSE_TIMEOUT_S = 1.5
DISCOVERY = "224.0.0.224:7446"
"""Multicast address and port of Zenoh's scouting."""
TRIES = 5
"""Number of times that a free port is chosen."""
MAX_REPLIES = 2
"""Number of unread replies to one request; anybody may reply, and each may have 16 MiB."""
ANNOUNCEMENTS_PER_S = 100
"""Announcements per second that one link delivers; an agent makes at most ten."""
_OS_REASON = re.compile(r"([A-Z][^:\[\]]*) \(os error \d+\)")


class ZenohTransport(Transport):
    """A Zenoh session in peer mode.

    Args:
        agent_id: id of this agent.
        listen: endpoints to listen on, such as `tls/0.0.0.0:7447`; port 0 means any free port.
        join: endpoints of other agents; failed connections are retried forever.
        tls: certificates for endpoints with tls or quic. Only agents with a certificate of the
            same mesh can connect.
        discover: multicast address and port by which agents find each other, such as `DISCOVERY`;
            None to find nobody and not to be found.

    Raises:
        NetworkError: an endpoint is not valid.
    """

    def __init__(
        self,
        agent_id: str,
        *,
        listen: Sequence[str] = (),
        join: Sequence[str] = (),
        discover: str | None = None,
        tls: TlsIdentity | None = None,
    ) -> None:
        self._agent_id = agent_id
        self._discover = discover
        self._tls = tls
        self._asked = tuple(parse_endpoint(endpoint) for endpoint in listen)
        self._listen = tuple(map(with_free_port, self._asked))
        self._join = tuple(parse_endpoint(endpoint) for endpoint in join)
        self._session: zenoh.Session | None = None
        self._declared: list[object] = []
        self._watch = JoinWatch(self._join, self.links)
        self._broadcasts: Broadcasts | None = None

    def start(self, handler: Handler) -> None:
        """Open the session.

        Raises:
            NetworkError: an endpoint is in use, or its address is not on this machine.
        """
        self._session = self._opened(TRIES if self._asked != self._listen else 1)
        self._broadcasts = Broadcasts(self._session, PREFIX, handler)
        self._declared = [
            self._session.declare_queryable(
                f"{PREFIX}/{self._agent_id}/*/*", lambda query: self._answer(query, handler)
            ),
        ]
        self._watch.start()

    def _opened(self, tries: int) -> zenoh.Session:
        """Open the session; a free port may be taken before it is used, so try again then."""
        try:
            return zenoh.open(self._config())
        except zenoh.ZError as error:
            if tries > 1:
                self._listen = tuple(map(with_free_port, self._asked))
                return self._opened(tries - 1)
            raise NetworkError(
                f"could not listen on {', '.join(self._listen)} ({_short(error)}); "
                "choose another port with --listen"
            ) from error

    def prefer(self, agent_id: str) -> None:
        """Receive the broadcasts of one peer apart from those of all others."""
        if self._broadcasts is not None and is_address(agent_id, KINDS[0], "0" * 64):
            self._broadcasts.prefer(agent_id)

    def announce(self, data: bytes) -> None:
        """Broadcast the data; for a peer that is too slow, the message is dropped."""
        session = self._session
        if session is None or len(data) > MAX_ANNOUNCEMENT_BYTES:
            return
        # A put fails only when the session is being closed.
        with contextlib.suppress(zenoh.ZError):
            session.put(
                f"{PREFIX}/{self._agent_id}/announce",
                data,
                congestion_control=zenoh.CongestionControl.DROP,
            )

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Request content from one peer; the first reply with the right hash is used.

        Without access control, any peer may answer in place of another peer. Replies are therefore
        read until one has the right hash. If no reply has it, the last reply is returned.
        """
        session = self._session
        if session is None or timeout_s <= 0 or not is_address(agent_id, kind, key):
            return None
        found: bytes | None = None
        # An error means that the session closes or the peer is gone, so there are no more replies.
        with contextlib.suppress(zenoh.ZError):
            for reply in session.get(
                f"{PREFIX}/{agent_id}/{kind}/{key}",
                zenoh.handlers.FifoChannel(MAX_REPLIES),
                timeout=timeout_s,
                target=zenoh.QueryTarget.ALL,
                consolidation=zenoh.ConsolidationMode.NONE,
            ):
                if reply.ok is None or len(reply.ok.payload) > MAX_BODY_BYTES:
                    continue
                found = bytes(reply.ok.payload)
                if hashlib.sha256(found).hexdigest() == key:
                    break
        return found

    def endpoints(self) -> tuple[str, ...]:
        """Return the endpoints that this agent listens on, with the actual port in place of 0."""
        return self._listen

    def joins(self) -> tuple[JoinState, ...]:
        """Return the states of the endpoints that this agent joins, once they are known."""
        return self._watch.states()

    def links(self) -> tuple[Link, ...]:
        """Return the connections to other agents."""
        session = self._session
        if session is None:
            return ()
        own = {split_endpoint(endpoint)[2] for endpoint in self._listen}
        with contextlib.suppress(zenoh.ZError):  # the session is being closed
            pairs = [
                (endpoint_of(link.src), endpoint_of(link.dst)) for link in session.info.links()
            ]
            return tuple(Link(dst, src.rpartition(":")[2] not in own) for src, dst in pairs)
        return ()

    def close(self) -> None:
        """Close the session within two seconds."""
        self._watch.stop()
        session, self._session = self._session, None
        if session is None:
            return
        deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
        self._declared = []
        broadcasts, self._broadcasts = self._broadcasts, None
        closer = threading.Thread(target=session.close, name="teachmesh-zenoh-close", daemon=True)
        closer.start()
        closer.join(CLOSE_TIMEOUT_S)
        if broadcasts is not None:
            broadcasts.join(max(0.0, deadline_s - time.monotonic()))

    def _answer(self, query: zenoh.Query, handler: Handler) -> None:
        # Wildcard queries match our key as well; only a plain address is answered.
        text, own = str(query.key_expr), f"{PREFIX}/{self._agent_id}/"
        kind, _, key = text[len(own) :].partition("/")
        if not text.startswith(own) or not is_address(self._agent_id, kind, key):
            return
        body = handler.on_request(kind, key)
        if body is not None:
            # A reply fails only when the session is being closed.
            with contextlib.suppress(zenoh.ZError):
                query.reply(query.key_expr, body)

    def _config(self) -> zenoh.Config:
        config: zenoh.Config = zenoh.Config()
        settings: dict[str, object] = {
            "mode": "peer",
            "scouting/multicast/enabled": self._discover is not None,
            "scouting/multicast/address": self._discover or DISCOVERY,
            "scouting/gossip/enabled": True,
            "transport/shared_memory/enabled": False,
            "transport/link/rx/max_message_size": MAX_BODY_BYTES + (64 << 10),
            "listen/endpoints": list(self._listen),
            "connect/endpoints": list(self._join),
            "connect/timeout_ms": -1,
            "connect/exit_on_failure": False,
            # Zenoh's default, one to four seconds, is long if a peer starts slightly later.
            "connect/retry": {
                "period_init_ms": 250,
                "period_max_ms": 2000,
                "period_increase_factor": 2,
            },
            "listen/timeout_ms": 0,
            "listen/exit_on_failure": True,
            # Peers name further addresses, to which Zenoh connects by itself.
            "transport/link/protocols": _protocols((*self._listen, *self._join)),
            "transport/link/tls": {} if self._tls is None else _tls_settings(self._tls),
            "downsampling": [_limit_per_link()],
        }
        for key, value in settings.items():
            config.insert_json5(key, json.dumps(value))
        return config


def _protocols(endpoints: Sequence[str]) -> list[str]:
    """Return the protocols of endpoints, so that no others are used."""
    return sorted({endpoint.partition("/")[0] for endpoint in endpoints}) or ["tcp"]


def _limit_per_link() -> dict[str, object]:
    """Return the rule by which Zenoh drops a flood before Python receives it, link by link."""
    return {
        "id": "announcements",
        "messages": ["put", "delete"],
        "flows": ["ingress"],
        "rules": [{"key_expr": f"{PREFIX}/*/announce", "freq": ANNOUNCEMENTS_PER_S}],
    }


def _tls_settings(tls: TlsIdentity) -> dict[str, object]:
    root, certificate, key = (
        base64.b64encode(pem).decode() for pem in (tls.root, tls.certificate, tls.key)
    )
    return {
        "root_ca_certificate_base64": root,
        "listen_certificate_base64": certificate,
        "listen_private_key_base64": key,
        "connect_certificate_base64": certificate,
        "connect_private_key_base64": key,
        "enable_mtls": True,
        # Agents are reached by changing addresses; their certificates name the mesh only.
        "verify_name_on_connect": False,
    }


def _short(error: BaseException) -> str:
    """Shorten an error to the operating system's reason, without Zenoh's names of source files."""
    text = " ".join(str(error).split())
    found = _OS_REASON.search(text)
    return found[1] if found else text.partition(" at /")[0][:120]
