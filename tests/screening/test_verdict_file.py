"""The verdicts of a bank survive restarts, damage and other processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from teachmesh.bank.verdict_file import Verdict, VerdictFile, Verdicts

BAD = Verdict(1, "CAPTURE", "takes images", "b" * 64, {"c" * 64: 5})


def test_verdicts_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Also by another process, which sees a change by its version."""
    one, other = (VerdictFile(tmp_path / "verdicts" / "f.json") for _ in range(2))
    assert (one.version(), one.read()) == (None, Verdicts())
    known = Verdicts({"a" * 64: BAD, "d" * 64: Verdict(0)})
    one.change(lambda _before: known)
    version = other.version()
    assert (other.read(), version) == (known, one.version())
    one.release("a" * 64)
    assert other.version() != version
    assert list(known.quarantined()) == ["a" * 64]
    assert other.read().quarantined() == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "[" * 9999, '{"schema": "teachmesh.verdicts/2"}'),
        '{"schema": "teachmesh.verdicts/2", "verdicts": {"a": 3}, "released": []}',
        '{"schema": "teachmesh.verdicts/2", "verdicts": {"a": {"x": 1}}, "released": []}',
    ],
)
def test_a_damaged_file_counts_as_missing(text: str, tmp_path: Path) -> None:
    """The skills are screened again, and the next change replaces the file."""
    path = tmp_path / "f.json"
    path.write_text(text)
    file = VerdictFile(path)
    assert file.read() == Verdicts()
    file.change(lambda before: replace(before, by_id={"a" * 64: BAD}))
    assert VerdictFile(path).read().by_id == {"a" * 64: BAD}


def test_a_read_only_home_keeps_verdicts_in_memory(tmp_path: Path) -> None:
    """Nothing is written."""
    file = VerdictFile(tmp_path / "f.json", read_only=True)
    file.change(lambda before: replace(before, by_id={"a" * 64: BAD}))
    assert list(file.read().quarantined()) == ["a" * 64]
    assert list(tmp_path.iterdir()) == []


def test_decisions_of_a_person_survive_an_update_of_the_tests(tmp_path: Path) -> None:
    """Verdicts of an older version are made again; releases stay."""
    path = tmp_path / "f.json"
    released = ["a" * 64]
    older = {"schema": "teachmesh.verdicts/1", "verdicts": {"b" * 64: {"takes": {"c": 7}}}}
    path.write_text(json.dumps({**older, "released": released}))
    assert VerdictFile(path).read() == Verdicts(released=frozenset(released))
