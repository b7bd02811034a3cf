"""Numbers of announcements grow from run to run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from teachmesh.bank.running import RESERVED, SPREAD, SequenceFile
from teachmesh.errors import StorageError
from teachmesh.sharing.twin_watch import TwinWatch


def draws(first: int) -> range:
    """Numbers that a run may begin with."""
    return range(first, first + SPREAD)


def test_numbers_grow_even_if_the_clock_goes_back(tmp_path: Path) -> None:
    """The wall clock counts only if it is ahead."""
    numbers = SequenceFile(tmp_path / "announced")
    first = numbers.reserve(1000)
    assert first in draws(1000)
    assert numbers.reserve(10) in draws(first + RESERVED)
    assert SequenceFile(tmp_path / "announced").reserve(10**12) in draws(10**12)


def test_copied_homes_both_notice_each_other(tmp_path: Path) -> None:
    """Each of them goes on with numbers that the other one never sends."""
    SequenceFile(tmp_path / "announced").reserve(10**12)
    shutil.copy(tmp_path / "announced", tmp_path / "copy")
    homes = [SequenceFile(tmp_path / name) for name in ("announced", "copy")]
    numbers = [home.reserve(10**12) for home in homes]
    watches = [TwinWatch(None), TwinWatch(None)]
    for _ in range(10):  # one of them is always ahead
        for own, watch in enumerate(watches):
            watch.sent(numbers[own])
            watches[1 - own].note(numbers[own])
            numbers[own] += 1
    assert [watch.is_present() for watch in watches] == [True, True]


@pytest.mark.parametrize("text", ["", "x", "-5", "9" * 40, "\N{ARABIC-INDIC DIGIT ONE}x"])
def test_a_damaged_file_is_replaced(tmp_path: Path, text: str) -> None:
    """Peers forget an agent after some seconds, so this is no reason to stop."""
    (tmp_path / "announced").write_text(text, encoding="utf-8")
    numbers = SequenceFile(tmp_path / "announced")
    first = numbers.reserve(7)
    assert first in draws(7)
    assert numbers.reserve(7) in draws(first + RESERVED)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(StorageError, match="announced"):
        SequenceFile(tmp_path / "missing" / "announced").reserve(7)
