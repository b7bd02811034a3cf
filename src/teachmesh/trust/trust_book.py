"""The trust book of a home: who is trusted, who is blocked, and the policy for strangers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from teachmesh.bank.atomic import FILE_OPS, FileOps
from teachmesh.bank.shared_file import SharedFile, Stamp
from teachmesh.errors import ConfigError, StorageError, UsageError
from teachmesh.packet.card_rules import now
from teachmesh.trust.policy import Policy, Standing, check_agent_id, check_policy, is_loopback
from teachmesh.trust.trust_state import Note, TrustState, decode_state

_MAX_BYTES = 8 << 20


class TrustBook:
    """Decisions about authors, in the file `trust.json` of a home.

    Several processes and threads can share a book. Each decision is on the disk when its method
    returns, and is seen by the next call in any process. The own key is always trusted.

    Args:
        folder: the agent's home folder.
        own: function that returns the id or key of this agent; None if it has no key yet.
        ops: disk operations; tests pass their own.

    All methods raise StorageError if the file is damaged, or cannot be read or written. So damage
    never makes a stranger trusted.

    Examples:
        >>> import tempfile
        >>> book = TrustBook(Path(tempfile.mkdtemp()))
        >>> book.set_policy("ask")
        >>> book.standing("K7QM-2F3D-ABCD-EFGH")
        'pending'
        >>> book.trust("K7QM-2F3D-ABCD-EFGH")
        >>> book.standing("K7QM-2F3D-ABCD-EFGH")
        'trusted'
    """

    def __init__(
        self,
        folder: Path,
        own: Callable[[], str | None] = lambda: None,
        *,
        ops: FileOps = FILE_OPS,
    ) -> None:
        self.path = Path(folder) / "trust.json"
        self._own = own
        self._file = SharedFile(
            self.path,
            ops,
            max_bytes=_MAX_BYTES,
            busy=f"another process is changing {self.path}; try again",
        )
        self._read: tuple[Stamp | None, TrustState] = (None, TrustState())

    def trust(self, agent: str, alias: str = "") -> None:
        """Trust an author (agent id or public key): its skills are used.

        Args:
            agent: the author.
            alias: its alias if it is known; from now on, it belongs to this author.
        """
        self._decide(agent, "trusted", alias)

    def block(self, agent: str, alias: str = "") -> None:
        """Block an author: its skills are as if they had never come.

        Args:
            agent: the author.
            alias: its alias if it is known, for people who read the list later.

        Raises:
            UsageError: it is this agent itself.
        """
        if check_agent_id(agent) == self._own_id():
            raise UsageError("expected another agent to block, got the id of this agent")
        self._decide(agent, "blocked", alias)

    def unblock(self, agent: str) -> None:
        """Take a block back; the author is a stranger again."""
        name = check_agent_id(agent)
        self._change(lambda s: s.with_agent(name, None, Note(now())) if name in s.blocked else s)

    def forget(self, agent: str) -> None:
        """Drop the decision about an author, who is a stranger again."""
        self._decide(agent, None)

    def standing(self, agent: str) -> Standing:
        """Return what happens to the skills of an author (agent id or public key)."""
        name = check_agent_id(agent)
        found = self.state().standing(name)
        # The own key is read only if it makes a difference, because this is called often.
        return "trusted" if found != "trusted" and name == self._own_id() else found

    def pin(self, alias: str, agent: str) -> None:
        """Note that an author uses an alias, unless it or a look-alike belongs to another author.

        An author that a person trusts takes it from others, and so does this agent itself. Blocked
        authors have no alias.
        """
        name, note = check_agent_id(agent), Note(now(), alias)
        own = name == self._own_id()
        state = self.state()
        if state.with_pin(name, note, own=own) is not state:
            self._change(lambda state: state.with_pin(name, note, own=own))

    def is_stranger(self, alias: str, agent: str) -> bool:
        """Return whether an alias, or one that looks alike, belongs to another author."""
        owner = self.state().owner(alias)
        name = check_agent_id(agent)
        return owner not in (None, name) and name != self._own_id()

    def among(self, authors: Iterable[str], standing: str) -> frozenset[str]:
        """Return the authors (public keys) that have a standing, from one look at the file."""
        state, names = self.state(), frozenset(authors)
        if not state.blocked and state.policy in (None, "open"):
            return names if standing == "trusted" else frozenset()
        found = {name: state.standing(check_agent_id(name)) for name in names}
        own = self._own()
        if own in found:
            found[own] = "trusted"
        return frozenset(name for name in names if found[name] == standing)

    @property
    def policy(self) -> Policy:
        """Policy for strangers; `open` until one is chosen."""
        return self.state().policy or "open"

    def set_policy(self, policy: str) -> None:
        """Choose the policy for strangers.

        Raises:
            ConfigError: there is no such policy.
        """
        chosen = check_policy(policy)
        self._change(lambda s: replace(s, policy=chosen))

    def settle_policy(self, endpoints: Iterable[str]) -> Policy:
        """Choose `ask` if none was chosen and an endpoint is outside this machine; return it.

        It is kept, so that skills of strangers do not become active when the agent later runs on
        loopback only.
        """
        if self.state().policy is None and not is_loopback(endpoints):
            self._change(lambda s: replace(s, policy=s.policy or "ask"))
        return self.policy

    def stamp(self) -> object:
        """Return a value that differs after every decision by any process; aliases do not count."""
        return self.state().decisions

    def state(self) -> TrustState:
        """Return all decisions."""
        stamp = self._file.stamp()
        read_at, state = self._read
        if stamp != read_at:
            state = self._load()
            self._read = (stamp, state)
        return state

    def _load(self) -> TrustState:
        data = self._file.read_bytes()
        try:
            return TrustState() if data is None else decode_state(data)
        except ConfigError as error:
            raise StorageError(
                f"could not use the trust book {self.path}: {error}; restore it from a backup, or "
                "move it away and decide again with `teachmesh peers`"
            ) from error

    def _own_id(self) -> str | None:
        own = self._own()
        return None if own is None else check_agent_id(own)

    def _decide(self, agent: str, standing: Standing | None, alias: str = "") -> None:
        name, note = check_agent_id(agent), Note(now(), alias)
        self._change(lambda state: state.with_agent(name, standing, note))

    def _change(self, change: Callable[[TrustState], TrustState]) -> None:
        with self._file.locked():
            before = self.state()
            after = change(before)
            if after != before:
                self._file.write_bytes(after.encode())
