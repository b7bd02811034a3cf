"""No peer and no author uses more than a fixed part of an agent's memory, places and time."""

from __future__ import annotations

import random

import pytest

from teachmesh.errors import SkillDeferred, SkillRefused
from teachmesh.sharing import author_budget
from teachmesh.sharing.author_budget import BURST, AuthorBudget
from teachmesh.sharing.id_list import (
    MAX_IDS,
    MAX_OFFERED,
    MAX_OFFERED_PER_LIST,
    Offers,
    decode_ids,
    digest_of,
    encode_ids,
)
from teachmesh.sharing.in_flight import FOR_PROVEN, MAX_OVERDUE, MAX_PROMPT, InFlight, Request
from teachmesh.sharing.messages import Announcement
from teachmesh.sharing.peers import BURST as ANNOUNCEMENTS
from teachmesh.sharing.peers import MAX_PEERS, NEWCOMERS, PeerTable
from teachmesh.sharing.response_times import (
    FIRST_DEADLINE_S,
    LONGEST_TIMEOUT_S,
    SHORTEST_DEADLINE_S,
    ResponseTimes,
)
from tests.sharing.inventories import id_of
from tests.sharing.meshes import key_of
from tests.sharing.test_backoff import Clock

KEYS = [key_of(f"peer {number}").public_key for number in range(MAX_PEERS + 200)]


def said(author: str, digest: str = "ab" * 32, sequence: int = 1) -> Announcement:
    """An announcement."""
    return Announcement(author, "x", digest, id_of(b""), 1, 0, sequence)


def ids(count: int, name: str = "f") -> list[str]:
    """Ids that begin with zeros, sorted if there are at most 16."""
    return [f"{name}{number:x}".rjust(64, "0") for number in range(count)]


def test_a_full_table_takes_newcomers_and_keeps_peers_that_delivered_skills() -> None:
    """A random unproven peer makes room."""
    table = PeerTable(clock=Clock(), rng=random.Random(0))
    for author in KEYS[:MAX_PEERS]:
        assert table.note(said(author))
    proven = said(KEYS[0]).agent_id
    table.prove(proven)
    for author in KEYS[MAX_PEERS:]:
        assert table.note(said(author))
    found = table.current()
    assert (len(found), proven in found) == (MAX_PEERS, True)
    assert said(KEYS[-1]).agent_id in found


def test_a_peer_that_returns_takes_a_place_even_among_proven_peers() -> None:
    """It delivered skills before, so it is no invention."""
    clock = Clock()
    table = PeerTable(clock=clock, rng=random.Random(0))
    for author in KEYS[: MAX_PEERS + 1]:
        table.prove(said(author).agent_id)
        assert table.note(said(author))
    assert not table.note(said(KEYS[-1]))
    assert len(table.current()) == MAX_PEERS


def test_announcements_of_one_peer_and_of_newcomers_have_a_rate() -> None:
    """Useless announcements are found before the signature is checked."""
    clock = Clock()
    table = PeerTable(clock=clock)
    assert [table.is_useless(said("00" * 32)) for _ in range(NEWCOMERS + 1)][-2:] == [False, True]
    clock.now_s += 10
    for sequence in range(1, ANNOUNCEMENTS + 1):
        assert not table.is_useless(said(KEYS[0], sequence=sequence))
        table.note(said(KEYS[0], sequence=sequence))
    assert table.is_useless(said(KEYS[0], sequence=99))
    clock.now_s += 0.2
    assert not table.is_useless(said(KEYS[0], sequence=99))
    assert table.is_useless(said(KEYS[0], sequence=1))


def test_a_list_of_ids_has_one_spelling_whose_hash_is_the_digest() -> None:
    """Other bytes are no list, and 100,000 ids are the longest one."""
    some = ids(3)
    data = encode_ids(reversed(some))
    assert decode_ids(data) == some
    assert id_of(data) == digest_of(some)
    assert decode_ids(b"") == []
    for wrong in (data[:-1], data.upper(), b"x" + data, data + b"\n", b"\n"):
        assert decode_ids(wrong) is None
    assert decode_ids(data[:65] * MAX_IDS) is not None
    assert decode_ids(data[:65] * (MAX_IDS + 1)) is None


def offered(lists: dict[str, list[str]], own: frozenset[str] = frozenset()) -> Offers:
    """Offers with these lists, each announced by one peer."""
    table = PeerTable(clock=Clock())
    for author, digest in zip(KEYS, lists, strict=False):
        table.note(said(author, digest))
    offers = Offers()
    offers.refresh(own, table.current(), lambda announcement: announcement.digest)
    for digest, listed in lists.items():
        offers.put(digest, listed)
    return offers


def test_a_long_list_offers_a_part_at_a_time_and_is_read_again_for_the_rest() -> None:
    """One list cannot use the memory of the others, and no id is lost."""
    listed = ids(MAX_OFFERED_PER_LIST + 10)
    offers = offered({"cd" * 32: listed})
    assert list(offers.missing("cd" * 32)) == listed[:MAX_OFFERED_PER_LIST]
    own = frozenset(listed[:MAX_OFFERED_PER_LIST])
    table = PeerTable(clock=Clock())
    table.note(said(KEYS[0], "cd" * 32))
    offers.refresh(own, table.current(), lambda announcement: announcement.digest)
    assert "cd" * 32 not in offers
    offers.put("cd" * 32, listed)
    assert list(offers.missing("cd" * 32)) == listed[MAX_OFFERED_PER_LIST:]


def test_many_long_lists_share_the_places_with_a_short_one() -> None:
    """A peer with few skills keeps all of them, whatever the others announce."""
    long = ids(MAX_OFFERED_PER_LIST, "e")
    lists = {f"{number:064x}": long for number in range(60)} | {"ef" * 32: ids(5, "f")}
    offers = offered(lists)
    assert len(offers.missing("ef" * 32)) == 5
    assert sum(len(offers.missing(digest)) for digest in lists) <= MAX_OFFERED


def test_lists_that_nobody_announces_are_neither_stored_nor_kept() -> None:
    """Memory is bounded by the number of peers."""
    offers = offered({"cd" * 32: ids(3)})
    offers.put("ff" * 32, ids(3))
    assert "ff" * 32 not in offers
    offers.refresh(frozenset(), {}, lambda announcement: announcement.digest)
    assert "cd" * 32 not in offers


def test_silent_peers_use_no_more_than_their_part_of_the_requests() -> None:
    """Proven peers always find a free place; overdue requests do not count as running."""
    flight = InFlight()
    for number in range(MAX_OVERDUE):
        flight.add(Request("skill", "x", f"silent {number}", 0.0, 1.0))
    assert flight.has_room("skill", 1.0, is_proven=True)
    assert not flight.has_room("skill", 1.0, is_proven=False)
    flight = InFlight()
    for number in range(MAX_PROMPT["skill"] - FOR_PROVEN["skill"]):
        flight.add(Request("skill", "x", f"new {number}", 0.0, 1.0))
    assert flight.has_room("skill", 0.5, is_proven=True)
    assert not flight.has_room("skill", 0.5, is_proven=False)


def test_deadlines_follow_the_answers_and_double_after_silence() -> None:
    """The estimate is that of TCP: mean plus four mean deviations."""
    times, peer = ResponseTimes(), ("peer", "skill")
    assert times.deadline_s(peer) == FIRST_DEADLINE_S
    assert times.timeout_s(peer) == 3 * FIRST_DEADLINE_S
    times.record(peer, 2.0)
    assert times.deadline_s(peer) == pytest.approx(2.0 + 4 * 1.0)
    times.record(peer, 3.0)
    assert times.deadline_s(peer) == pytest.approx(2.125 + 4 * 1.0)
    for _ in range(60):
        times.record(peer, 0.01)
    assert times.deadline_s(peer) == SHORTEST_DEADLINE_S
    times.record_silence(peer)
    assert times.timeout_s(peer) == pytest.approx(2 * 3 * SHORTEST_DEADLINE_S)
    for _ in range(9):
        times.record_silence(peer)
    assert times.timeout_s(peer) <= LONGEST_TIMEOUT_S
    times.forget(())
    assert times.timeout_s(peer) == 3 * FIRST_DEADLINE_S


def test_an_author_adds_many_skills_at_once_and_then_one_per_second() -> None:
    """Those too many are put off, each a second longer than the one before; others are free."""
    clock = Clock()
    budget = AuthorBudget(clock)
    for _ in range(BURST):
        budget.spend("junk")
    waits = []
    for _ in range(3):
        with pytest.raises(SkillDeferred) as caught:
            budget.spend("junk")
        waits.append(caught.value.wait_s)
    assert waits == [1.0, 2.0, 3.0]
    budget.spend("honest")
    clock.now_s += 1
    budget.spend("junk")
    with pytest.raises(SkillDeferred):
        budget.spend("junk")


def test_an_author_and_a_bank_have_a_largest_number_of_skills() -> None:
    """The limits themselves are refused, and one less is not."""
    budget = AuthorBudget(Clock())
    most, whole = author_budget.MAX_SKILLS_PER_AUTHOR, author_budget.MAX_SKILLS
    budget.check_size("a", most - 1, 0, whole - 1)
    for sizes in ((most, 0, most), (1, author_budget.MAX_BYTES_PER_AUTHOR, 1), (0, 0, whole)):
        with pytest.raises(SkillRefused) as caught:
            budget.check_size("a", *sizes)
        assert caught.value.reason == "LIMIT"
