"""Names that look alike are told apart, and an alias belongs to the author that came first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.known_skills.skill_names import display_names
from teachmesh.bank.entry import BankEntry
from teachmesh.data.names import check_name, clean_name
from teachmesh.errors import DataError
from teachmesh.packet.signing import agent_id
from teachmesh.trust.look_alikes import skeleton
from teachmesh.trust.trust_book import TrustBook
from teachmesh.trust.trust_state import MAX_PINS, MAX_PINS_PER_AGENT, Note, TrustState
from tests.packet.sample_skills import ALICE, BOB, MALLORY, sample_signed

LOOKS = {
    "capitals": "SCREWS",
    "Cyrillic": "\u0455\u0441rew\u0455",
    "full width": "\uff53crews",
    "zero width": "scr\u200bews",
    "joiner": "scr\u200dews",
    "variation selector": "screws\ufe0f",
    "filler": "scr\u3164ews",
    "bold": "\U0001d42c\U0001d41c\U0001d42b\U0001d41e\U0001d430\U0001d42c",
    "text direction": "\u202escrews",
}


@pytest.mark.parametrize("name", LOOKS.values(), ids=LOOKS)
def test_names_that_look_alike_have_one_skeleton(name: str) -> None:
    """Case, script, width and characters that show nothing."""
    assert skeleton(name) == skeleton("screws")
    assert skeleton(skeleton(name)) == skeleton(name)


def test_names_that_look_different_have_different_skeletons() -> None:
    """Numbers of boxes, accents and CJK stay apart; letters and digits that look alike do not."""
    names = ["box-1", "box-2", "box-11", "caf\u00e9", "cafe", "\u732b", "\u72ac", "tiles", "files"]
    assert len({skeleton(name) for name in names}) == len(names)
    for one, other in (("box-l", "box-1"), ("O2", "02"), ("rn", "m"), ("ALICE", "alice")):
        assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    "name",
    ["scr\u200dews", "\u200cab", "a\u200d", "ti\u3164les", "a\u2800b", "\u202eabc", "a\u034fb"],
)
def test_names_with_invisible_characters_are_refused(name: str) -> None:
    """The error shows the place, and a cleaned name is accepted."""
    with pytest.raises(DataError, match="invisible joiner|unprintable"):
        check_name("task", name)
    assert check_name("task", clean_name(name)) == clean_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f52c",
        "\u2764\ufe0f",
    ],
    ids=["Persian", "emoji", "heart"],
)
def test_joiners_that_a_script_needs_are_accepted(name: str) -> None:
    """Persian words and emoji of several people are ordinary names."""
    assert check_name("task", name) == name


def test_look_alike_tasks_of_two_authors_are_shown_with_ids_and_a_remark(tmp_path: Path) -> None:
    """Nobody takes one for the other; a task name without a twin stays short."""
    view = BankView(tmp_path)
    mine = view.bank.put(sample_signed(ALICE, task="screws"))
    theirs = view.bank.put(sample_signed(MALLORY, 1, task=LOOKS["Cyrillic"]))
    view.bank.put(sample_signed(BOB, 2, task="bolts"))
    shown = {info.id: info for info in view.infos()}
    for entry, other in ((mine, theirs), (theirs, mine)):
        name = shown[entry.id].display_name
        assert name == f"{entry.task}@{entry.alias}@{agent_id(entry.author)[:9].lower()}"
        assert f"({agent_id(other.author)[:9]})" in shown[entry.id].remark
        assert view.find(name).id == entry.id
    assert {info.display_name for info in shown.values() if not info.remark} == {"bolts"}


def test_look_alike_aliases_of_one_task_are_shown_with_ids() -> None:
    """As equal aliases are."""
    first = BankEntry.of(sample_signed(ALICE, alias="alice"))
    second = BankEntry.of(sample_signed(MALLORY, 1, alias="\u0430lice"))
    names = display_names([first, second], {first.id, second.id})
    for entry in (first, second):
        assert names[entry.id].endswith(f"@{agent_id(entry.author)[:9].lower()}")


def test_the_first_author_keeps_an_alias_unless_you_trust_another(tmp_path: Path) -> None:
    """Strangers, trusted authors, blocked ones and this agent itself, in this order."""
    book = TrustBook(tmp_path, lambda: ALICE.public_key)
    book.pin("box", MALLORY.public_key)
    book.pin("B\u043eX", BOB.public_key)
    assert not book.is_stranger("box", MALLORY.public_key)
    assert book.is_stranger("BOX", BOB.public_key)
    book.trust(BOB.public_key, "box")
    assert not book.is_stranger("box", BOB.public_key)
    assert book.is_stranger("box", MALLORY.public_key)
    book.pin("box", MALLORY.public_key)
    assert book.is_stranger("box", MALLORY.public_key)
    book.block(BOB.public_key)
    assert not book.is_stranger("box", MALLORY.public_key)
    book.pin("box", ALICE.public_key)
    assert [book.is_stranger("box", k.public_key) for k in (ALICE, MALLORY)] == [False, True]
    assert TrustBook(tmp_path).is_stranger("box", MALLORY.public_key)


def test_the_alias_of_a_stranger_is_remarked_in_the_list(tmp_path: Path) -> None:
    """The skill came later than that of the owner."""
    view = BankView(tmp_path)
    entries = [view.bank.put(sample_signed(key, alias="box")) for key in (ALICE, MALLORY)]
    for entry in entries:
        view.trust.pin(entry.alias, entry.author)
    remarks = {info.id: info.remark for info in view.infos()}
    assert remarks[entries[0].id] == ""
    assert "a stranger" in remarks[entries[1].id]


def test_strangers_cannot_fill_the_list_of_aliases() -> None:
    """One of them has few, and all of them together push out no trusted author."""
    bob = agent_id(BOB.public_key)
    state = TrustState().with_agent(bob, "trusted", Note("2026-01-01T00:00:00Z", "bob"))
    for number in range(MAX_PINS_PER_AGENT + 3):
        state = state.with_pin("AAAA-AAAA-AAAA-AAAA", Note("2026-01-02T00:00:00Z", f"a-{number}"))
    assert len(state.pins) == 1 + MAX_PINS_PER_AGENT
    many = {f"b{n}": ("BBBB-BBBB-BBBB-BBBB", Note("2026-01-03T00:00:00Z")) for n in range(MAX_PINS)}
    full = replace(state, pins={"bob": state.pins["bob"], **many})
    full = full.with_pin("CCCC-CCCC-CCCC-CCCC", Note("2026-01-04T00:00:00Z", "new"))
    assert len(full.pins) == MAX_PINS
    assert full.owner("bob") == bob
    assert full.owner("new") is not None
