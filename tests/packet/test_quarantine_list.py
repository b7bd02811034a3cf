"""Quarantine lists: exactly one spelling, and the newest one of each author is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teachmesh.bank.known_lists import MAX_LISTS, KnownLists
from teachmesh.errors import SkillRefused
from teachmesh.packet.quarantine_list import MAX_LISTED, read_list, sign_list
from teachmesh.packet.signing import AgentKey
from tests.packet.sample_skills import ALICE, BOB

IDS = ["b" * 64, "a" * 64]


def test_a_list_has_one_spelling() -> None:
    """The order of the ids makes no difference, and reading returns what was signed."""
    found = sign_list(IDS, 7, ALICE)
    assert found.data == sign_list(IDS[::-1], 7, ALICE).data
    assert read_list(found.data) == found
    assert (found.skills, found.sequence, found.author) == (frozenset(IDS), 7, ALICE.public_key)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"sequence":7', '"sequence":8', "SIGNATURE"),
        ('"sequence":7', '"sequence":-7', "VALUE"),
        ('"sequence":7', '"sequence":true', "VALUE"),
        ('"' + "a" * 64 + '",', "", "SIGNATURE"),
        ("a" * 64, "A" * 64, "VALUE"),
        ("a" * 64, "c" * 64, "VALUE"),
        ("a" * 64, "b" * 64, "VALUE"),
        ("quarantine-list/1", "quarantine-list/2", "VERSION"),
        ("quarantine-list/1", "tombstone/1", "SCHEMA"),
        ('"skills"', '"others"', "SCHEMA"),
    ],
)
def test_a_changed_list_is_refused(old: str, new: str, reason: str) -> None:
    """Also if the ids are not sorted, or repeated."""
    text = sign_list(IDS, 7, ALICE).data.decode()
    assert old in text
    with pytest.raises(SkillRefused) as refused:
        read_list(text.replace(old, new).encode())
    assert refused.value.reason == reason


def test_a_list_has_a_limit() -> None:
    """As many skills as a bank takes from peers."""
    ids = [f"{number:064x}" for number in range(MAX_LISTED + 1)]
    assert len(sign_list(ids[1:], 1, ALICE).skills) == MAX_LISTED
    with pytest.raises(SkillRefused) as refused:
        sign_list(ids, 1, ALICE)
    assert refused.value.reason == "LIMIT"


def test_the_newest_list_of_each_author_is_kept(tmp_path: Path) -> None:
    """A replay of an older one changes nothing; lists of agents that are not kept go."""
    lists = KnownLists(tmp_path / "lists.json")
    new, old, other = sign_list(IDS, 2, ALICE), sign_list([], 1, ALICE), sign_list([], 1, BOB)
    assert [lists.put(one, lambda _author: True) for one in (new, old, other)] == [
        True,
        False,
        True,
    ]
    assert KnownLists(tmp_path / "lists.json").read() == {
        ALICE.public_key: new,
        BOB.public_key: other,
    }
    lists.put(sign_list(IDS, 2, BOB), lambda _author: False)
    assert list(lists.read()) == [BOB.public_key]


def test_a_changed_file_counts_as_missing(tmp_path: Path) -> None:
    """Its signatures are checked when it is read, so nobody is blamed by a damaged disk."""
    path = tmp_path / "lists.json"
    lists = KnownLists(path)
    assert lists.read() == {}
    lists.put(sign_list(IDS, 2, ALICE), lambda _author: True)
    text = path.read_text()
    for damaged in (text.replace("a" * 64, "9" * 64), "[]", "{}", "x", '{"schema": 1}'):
        path.write_text(damaged)
        assert KnownLists(path).read() == {}
    document = json.loads(text)
    path.write_text(json.dumps(document | {"lists": [1]}))
    assert KnownLists(path).read() == {}


def test_the_number_of_lists_is_limited(tmp_path: Path) -> None:
    """Later ones are not kept."""
    lists = KnownLists(tmp_path / "lists.json")
    keys = [AgentKey(bytes([number] * 32)) for number in range(MAX_LISTS + 1)]
    saved = [lists.put(sign_list([], 1, key), lambda _author: True) for key in keys]
    assert saved == [True] * MAX_LISTS + [False]
