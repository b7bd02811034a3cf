"""A bank depends on the content that came and on the last decisions, never on their order."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teachmesh.bank.store import Bank, digest_of
from teachmesh.errors import SkillRefused, StorageError
from teachmesh.packet.signing import VerifiedSkill, agent_id
from teachmesh.packet.tombstone import Tombstone, sign_tombstone
from teachmesh.trust.trust_book import TrustBook
from tests.bank.failing import FailingOps
from tests.bank.index_files import lose_index
from tests.packet.sample_skills import ALICE, BOB, MALLORY, sample_signed

FIRST = sample_signed(MALLORY)
SECOND = sample_signed(MALLORY, seed=1, replaces=FIRST.id)
THIRD = sample_signed(MALLORY, seed=2)
HONEST, OTHER = sample_signed(ALICE, seed=3), sample_signed(BOB, seed=4)
GRAVES = (sign_tombstone(THIRD.id, MALLORY), sign_tombstone(HONEST.id, MALLORY))
ARRIVALS: tuple[VerifiedSkill | Tombstone, ...] = (FIRST, SECOND, THIRD, HONEST, OTHER, *GRAVES)
DECISIONS = ("trust", "block", "unblock", "forget")
STEPS = st.lists(
    st.one_of(
        st.sampled_from(range(len(ARRIVALS))),
        st.tuples(st.sampled_from(DECISIONS), st.sampled_from((MALLORY, BOB))),
        st.sampled_from(["reopen", "lose index"]),
    ),
    max_size=14,
)


def author_of(arrival: VerifiedSkill | Tombstone) -> str:
    """Return the public key of the author."""
    return arrival.author if isinstance(arrival, Tombstone) else arrival.skill.card.author


def arrive(bank: Bank, arrival: VerifiedSkill | Tombstone) -> None:
    """Deliver content that the bank wants, as peers do."""
    if arrival.id in bank.removed_ids():
        return
    with suppress(SkillRefused):
        if isinstance(arrival, Tombstone):
            bank.withdrawals.add(arrival, keep_file=False)
        else:
            bank.put(arrival, restore=False)


def open_bank(folder: Path, **options: Any) -> Bank:
    """Open the bank and the trust book of a home; alice is its owner."""
    return Bank(folder / "bank", authors=TrustBook(folder, lambda: ALICE.public_key), **options)


def shown(bank: Bank) -> tuple[object, ...]:
    """All that a bank shows to answers, people and peers."""
    facts = (bank.ids(), bank.used_ids(), bank.digest(), bank.active(), bank.entries())
    return (*facts, bank.withdrawals.ids(), bank.pending_authors(), bank.check().is_clean)


def expected(policy: str, blocked: set[str], trusted: set[str], arrived: list[Any]) -> Any:
    """Return what a bank shows to which the content of blocked authors never came."""
    with tempfile.TemporaryDirectory() as name:
        book = TrustBook(Path(name), lambda: ALICE.public_key)
        book.set_policy(policy)
        for author in trusted:
            book.trust(author)
        with open_bank(Path(name)) as never:
            for arrival in arrived:
                if author_of(arrival) not in blocked:
                    arrive(never, arrival)
            return shown(never)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(policy=st.sampled_from(["ask", "open"]), steps=STEPS)
def test_any_order_of_decisions_and_arrivals_ends_in_the_same_state(
    policy: str, steps: list[Any]
) -> None:
    """Blocked means that nothing ever came: no skill, version, tombstone or name."""
    blocked: set[str] = set()
    trusted: set[str] = set()
    arrived = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        book = TrustBook(folder, lambda: ALICE.public_key)
        book.set_policy(policy)
        bank = open_bank(folder)
        for step in steps:
            if isinstance(step, int):
                arrived.append(ARRIVALS[step])
                arrive(bank, ARRIVALS[step])
            elif isinstance(step, tuple):
                decision, author = step[0], step[1].public_key
                getattr(book, decision)(author)
                blocked = blocked | {author} if decision == "block" else blocked - {author}
                trusted = trusted | {author} if decision == "trust" else trusted
                trusted -= {author} if decision in ("block", "forget") else set()
                bank.follow_decisions()
            else:
                bank.close()
                if step == "lose index":
                    lose_index(folder / "bank")
                bank = open_bank(folder)
        for arrival in arrived:  # peers offer everything again
            arrive(bank, arrival)
        assert shown(bank) == expected(policy, blocked, trusted, arrived)
        bank.close()


def test_a_block_is_reversible_without_peers_and_fetches_nothing_again(tmp_path: Path) -> None:
    """The ids stay known; the files come back with their bytes."""
    book = TrustBook(tmp_path)
    with open_bank(tmp_path) as bank:
        for arrival in (FIRST, SECOND, OTHER, GRAVES[1]):
            arrive(bank, arrival)
        before = shown(bank)
        book.block(MALLORY.public_key)
        assert bank.ids() == [OTHER.id]  # at once, in every process
        bank.follow_decisions()
        assert sorted(path.stem for path in (tmp_path / "bank/skills").iterdir()) == [OTHER.id]
        with pytest.raises(SkillRefused, match="blocked") as caught:
            bank.put(THIRD)
        assert caught.value.reason == "BLOCKED"
        ids = sorted([FIRST.id, SECOND.id, THIRD.id, GRAVES[1].id])
        assert bank.removed_ids() == ids
        book.unblock(MALLORY.public_key)
        bank.follow_decisions()
        assert (shown(bank), bank.removed_ids()) == (before, [])
        assert bank.get(FIRST.id) == FIRST.data


def test_pending_skills_are_served_but_not_used(tmp_path: Path) -> None:
    """They are in the list for peers, not in the digest, and trust activates them at once."""
    book = TrustBook(tmp_path)
    book.set_policy("ask")
    with open_bank(tmp_path) as bank:
        for skill in (HONEST, OTHER):
            bank.put(skill)
        version = bank.version()
        assert bank.ids() == sorted([HONEST.id, OTHER.id])
        assert bank.digest() == digest_of([HONEST.id])
        assert (bank.pending_usage().skills, bank.pending_usage().total) == (1, 2)
        book.trust(agent_id(BOB.public_key))
        assert bank.version() != version
        assert bank.digest() == digest_of([HONEST.id, OTHER.id])
        assert bank.pending_usage().skills == 0


@pytest.mark.parametrize("decision", ["block", "unblock"])
def test_a_failing_disk_loses_no_file_of_a_blocked_author(tmp_path: Path, decision: str) -> None:
    """The n-th operation of a move fails, for every n; the next opening completes the move."""
    ready, book = tmp_path / "ready", TrustBook(tmp_path / "ready")
    ready.mkdir()
    with open_bank(ready) as bank:
        for arrival in (FIRST, SECOND, OTHER, GRAVES[0]):
            arrive(bank, arrival)
    book.block(MALLORY.public_key)
    if decision == "unblock":
        open_bank(ready).close()
        book.unblock(MALLORY.public_key)
    for number in range(1, 60):
        folder = copytree(ready, tmp_path / str(number))
        ops = FailingOps(number)
        with suppress(StorageError), open_bank(folder, ops=ops) as bank:
            bank.follow_decisions()
        with open_bank(folder) as bank:
            wanted = [OTHER] if decision == "block" else [FIRST, SECOND, OTHER]
            assert bank.ids() == sorted(skill.id for skill in wanted)
            bank.repair()
            assert bank.check().is_clean
            kept = {*bank.removed_ids(), *bank.ids(), *bank.withdrawals.ids()}
            assert kept == {FIRST.id, SECOND.id, OTHER.id, GRAVES[0].id}
        if not ops.has_failed:
            return
    raise AssertionError("expected an end of the operations")
