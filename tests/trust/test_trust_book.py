"""Decisions about authors are kept, are seen by all processes, and never fail open."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from teachmesh.errors import ConfigError, StorageError, UsageError
from teachmesh.packet.signing import AgentKey, agent_id
from teachmesh.trust.policy import find_agent, is_loopback
from teachmesh.trust.trust_book import TrustBook

ALICE = AgentKey(bytes([1]) * 32).public_key
BOB = AgentKey(bytes([2]) * 32).public_key


def test_standings_follow_policy_and_decisions(tmp_path: Path) -> None:
    """A decision outranks the policy."""
    book = TrustBook(tmp_path, lambda: ALICE)
    assert (book.policy, book.standing(BOB)) == ("open", "trusted")
    book.set_policy("ask")
    assert (book.standing(ALICE), book.standing(BOB)) == ("trusted", "pending")
    book.trust(BOB)
    assert book.standing(agent_id(BOB).lower()) == "trusted"
    book.block(BOB)
    assert book.standing(BOB) == "blocked"
    book.set_policy("open")
    assert TrustBook(tmp_path).standing(BOB) == "blocked"
    book.unblock(BOB)
    assert book.standing(BOB) == "trusted"


def test_unblocking_or_forgetting_makes_a_stranger(tmp_path: Path) -> None:
    """Only a block is taken back by unblock."""
    book = TrustBook(tmp_path)
    book.set_policy("invited")
    book.trust(BOB)
    book.unblock(BOB)
    assert book.standing(BOB) == "trusted"
    book.forget(BOB)
    assert book.standing(BOB) == "pending"


def test_an_agent_cannot_block_itself(tmp_path: Path) -> None:
    """The own key is always trusted."""
    with pytest.raises(UsageError, match="another agent"):
        TrustBook(tmp_path, lambda: ALICE).block(ALICE)


def test_a_changed_byte_trusts_nobody(tmp_path: Path) -> None:
    """Damage is an error, or the decision is still the same."""
    book = TrustBook(tmp_path)
    book.trust(ALICE)
    book.block(BOB)
    whole = book.path.read_bytes()
    for position in range(0, len(whole) - 1, 7):
        changed = bytearray(whole)
        changed[position] ^= 1
        book.path.write_bytes(changed)
        try:
            found = TrustBook(tmp_path).standing(BOB)
        except StorageError as error:
            assert "restore it from a backup" in str(error)  # noqa: PT017 - most changes are seen
        else:
            assert found == "blocked"


def test_decisions_of_several_threads_and_processes_are_all_kept(tmp_path: Path) -> None:
    """No decision overwrites another."""
    keys = [AgentKey(bytes([n]) * 32).public_key for n in range(3, 19)]
    code = (
        "import sys; from pathlib import Path; from teachmesh.trust.trust_book import TrustBook\n"
        "book = TrustBook(Path(sys.argv[1]))\n"
        "for key in sys.argv[2:]: book.trust(key)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *keys[:8]])
    book = TrustBook(tmp_path)
    threads = [threading.Thread(target=book.trust, args=(key,)) for key in keys[8:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait(100) == 0
    assert set(book.state().trusted) == {agent_id(key) for key in keys}


def test_the_policy_outside_loopback_is_ask_and_stays(tmp_path: Path) -> None:
    """Skills of strangers do not become active later."""
    book = TrustBook(tmp_path)
    assert book.settle_policy(["tcp/127.0.0.1:0"]) == "open"
    assert book.settle_policy(["tcp/127.0.0.1:0", "tcp/192.168.1.20:7447"]) == "ask"
    assert book.settle_policy(["tcp/127.0.0.1:0"]) == "ask"
    book.set_policy("open")
    assert book.settle_policy(["tcp/0.0.0.0:7447"]) == "open"
    with pytest.raises(ConfigError, match="did you mean 'invited'"):
        book.set_policy("invite")


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("tcp/127.0.0.1:0", True),
        ("tls/localhost:7447", True),
        ("quic/[::1]:7447", True),
        ("127.1.2.3:80", True),
        ("tcp/0.0.0.0:7447", False),
        ("tcp/[::]:7447", False),
        ("tcp/example.org:7447", False),
        ("tcp/10.0.0.1:7447#iface=lo", False),
        ("", False),
        ("tcp/127.0.0.1.evil.org:1", False),
    ],
)
def test_loopback_endpoints(endpoint: str, local: bool) -> None:
    """An endpoint that cannot be read is outside."""
    assert is_loopback([endpoint]) is local


def test_agents_are_named_by_the_start_of_their_id() -> None:
    """An ambiguous start names nobody."""
    known = ["K7QM-2F3D-AAAA-BBBB", "K7QM-3333-AAAA-BBBB"]
    assert find_agent("k7qm-2", known) == known[0]
    assert find_agent(ALICE, known) == agent_id(ALICE)
    with pytest.raises(UsageError, match="several ids"):
        find_agent("K7QM", known)
    with pytest.raises(UsageError, match="peers list"):
        find_agent("K7Q", known)


@pytest.mark.parametrize("policy", ["open", "ask"])
@pytest.mark.parametrize("blocked", [True, False])
def test_many_authors_have_the_standings_that_each_one_has(
    tmp_path: Path, policy: str, blocked: bool
) -> None:
    """The fast way agrees with the slow one, also for the own key."""
    book = TrustBook(tmp_path, lambda: ALICE)
    book.set_policy(policy)
    keys = [ALICE, BOB, *(AgentKey(bytes([n]) * 32).public_key for n in range(3, 6))]
    book.trust(keys[2])
    if blocked:
        book.block(keys[3])
    for standing in ("trusted", "pending", "blocked"):
        alone = {key for key in keys if book.standing(key) == standing}
        assert book.among(keys, standing) == alone
