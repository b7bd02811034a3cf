"""Names of skills: all differ, and a name keeps its meaning for the one who learned the task."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.agent.known_skills.skill_names import display_names, find_by_id, find_named, listed
from teachmesh.bank.entry import BankEntry, oldest_first
from teachmesh.packet.signing import agent_id

AUTHORS = [f"{number:064x}" for number in range(4)]
OWN = AUTHORS[0]
MARK = agent_id(OWN)[:9].lower()
TASKS = ["tiles", "tiles (replaced, abababab)", "abababab"]
ALIASES = ["al", "bob", f"al-{MARK}", MARK, "abababab", "al (replaced, abababab)"]
"""Names by which a stranger could try to look like somebody else."""


def entry(skill_id: str, task: str = "tiles", author: str = OWN, alias: str = "al") -> BankEntry:
    """An entry of which only these four facts matter for names."""
    return BankEntry(
        id=skill_id,
        task=task,
        author=author,
        alias=alias,
        method="moments",
        anchors=("moments",),
        classes=("a", "b"),
        has_biases=False,
        backbone_fingerprint="ab" * 32,
        size_bytes=1,
        created="2026-11-30T08:00:00Z",
        replaces=None,
        has_head=True,
        latent_sizes=(0, 0),
    )


def skill_id(shared: int, rest: int) -> str:
    """An id that shares its first digits with others."""
    start = "ab" * 32
    return start[:shared] + f"{rest:0{64 - shared}x}"


Bank = tuple[list[BankEntry], frozenset[str]]
"""The skills of a bank, and the ids of those that are active."""


def some_bank(seed: int) -> Bank:
    """Up to eight skills, of which any may be replaced."""
    draw = random.Random(seed)
    entries = {}
    for _ in range(draw.randrange(9)):
        name = skill_id(draw.choice([0, 4, 8, 12, 40]), draw.randrange(2**64))
        entries[name] = entry(name, *map(draw.choice, (TASKS, AUTHORS, ALIASES)))
    replaced = draw.choice([0, 0, 0.3, 1])
    return [*entries.values()], frozenset(name for name in entries if draw.random() >= replaced)


BANKS = st.builds(some_bank, st.integers(0, 2**32))


@given(BANKS, st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_display_names_differ_and_do_not_depend_on_the_order(bank: Bank, order: int) -> None:
    """Two agents with one set of skills show one set of names, in which none occurs twice."""
    entries, active = bank
    names = display_names(entries, active)
    assert names.keys() == {one.id for one in entries}
    assert len(set(names.values())) == len(entries)
    shuffled = random.Random(order).sample(entries, len(entries))
    assert display_names(shuffled, active) == names


@given(BANKS)
@settings(max_examples=100, deadline=None)
def test_a_name_is_no_longer_than_needed(bank: Bank) -> None:
    """TASK if it is the only active one; @ALIAS if only aliases differ; ids otherwise."""
    entries, active = bank
    names = display_names(entries, active)
    for one in (one for one in entries if one.id in active):
        others = [e for e in entries if e.id in active and e.task == one.task and e != one]
        same_alias = [e for e in others if e.alias == one.alias]
        parts = 1 if not others else 2
        parts += any(e.author != one.author for e in same_alias)
        parts += any(e.author == one.author for e in same_alias)
        assert names[one.id].split("@")[:2] == [one.task, one.alias][: min(parts, 2)]
        assert len(names[one.id].split("@")) == parts


def found(
    name: str, entries: Sequence[BankEntry], active: Collection[str], own: str | None
) -> list[str]:
    """Ids of the skills that a name stands for."""
    return [one.id for one in find_named(name, entries, active, own)]


@given(BANKS, st.sampled_from([None, *AUTHORS]))
@settings(max_examples=100, deadline=None)
def test_a_display_name_stands_for_its_skill_for_everybody(bank: Bank, own: str | None) -> None:
    """Whoever asks, what the list shows can be typed."""
    entries, active = bank
    for one, name in display_names(entries, active).items():
        assert found(name, entries, active, own) == [one]


@given(BANKS, st.sampled_from([None, *AUTHORS]), st.sampled_from(TASKS))
@settings(max_examples=100, deadline=None)
def test_a_task_name_stands_for_mine_or_for_the_only_one(
    bank: Bank, own: str | None, task: str
) -> None:
    """One active skill or all choices; without an active one, mine, then the choices."""
    entries, active = bank
    held = [one for one in entries if one.task == task]
    here = [one for one in held if one.id in active] or held
    here = [one for one in here if one.author == own] or here
    replaced = not any(one.id in active for one in here)
    if replaced and len({one.author for one in here}) == 1:
        here = oldest_first(here)[-1:]
    assert found(task, entries, active, own) == [one.id for one in here]


@given(BANKS, BANKS, st.integers(4, 64))
@settings(max_examples=100, deadline=None)
def test_strangers_never_change_what_a_name_of_mine_stands_for(
    bank: Bank, arriving: Bank, length: int
) -> None:
    """Every name that stood for one skill of mine does so after any skills of others came."""
    entries, active = bank
    mine = {one.id: one for one in entries if one.author == OWN}
    strangers = [one for one in arriving[0] if one.author != OWN]
    names = {f"{one.task}@{one.alias}@{one.id[:length]}" for one in mine.values()}
    for one in (one for one in mine.values() if one.id in active):
        names |= {one.task, f"{one.task}@{one.alias}"}
    names |= {name for key, name in display_names(entries, active).items() if key in mine}
    for name in names:
        before = found(name, entries, active, OWN)
        if len(before) == 1:
            assert found(name, [*entries, *strangers], active | arriving[1], OWN) == before


def test_longer_names_work_before_they_are_needed() -> None:
    """A script may write the author and the id from the start, in any spelling."""
    one = entry("3f9a" + "0" * 60, "caf\u00e9")
    for name in ("caf\u00e9@al", "cafe\u0301@al", f"caf\u00e9@al@{agent_id(OWN)}"):
        assert find_named(name, [one], {one.id}, None) == [one]
    assert find_named("caf\u00e9@al@3F9A", [one], {one.id}, None) == [one]
    for name in (
        "caf\u00e9@bob",
        "caf\u00e9@al@3f9",
        "caf\u00e9@al@4f9a",
        "caf\u00e9@",
        "@al",
        "",
        "@",
    ):
        assert find_named(name, [one], {one.id}, None) == []
    assert find_by_id("3F9a", [one]) == [one]
    assert find_by_id("3f9", [one]) == []


def test_names_of_ids_with_a_common_start_become_longer() -> None:
    """Two active skills of one author, and two authors with one alias, by hand."""
    first, second = entry("ab" * 32), entry("ab" * 4 + "cd" * 28)
    assert display_names([first, second], {first.id, second.id}) == {
        first.id: "tiles@al@abababababab",
        second.id: "tiles@al@ababababcdcd",
    }
    other = entry("00" * 32, author=AUTHORS[1])
    names = display_names([first, other], {first.id, other.id})
    assert names[first.id] == f"tiles@al@{MARK}"
    assert names[other.id] == f"tiles@al@{agent_id(AUTHORS[1])[:9].lower()}"
    assert display_names([first, other], {first.id})[other.id] == "tiles@al@00000000"


def test_a_long_list_of_names_is_cut() -> None:
    """A sentence stays a sentence if a thousand authors teach one task."""
    assert listed(f"t@{number:03}" for number in range(1000)).endswith("t@007 and 992 more")
