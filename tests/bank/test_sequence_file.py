"""Numbers of announcements grow from run to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.bank.running import RESERVED, SequenceFile
from teachmesh.errors import StorageError


def test_numbers_grow_even_if_the_clock_goes_back(tmp_path: Path) -> None:
    """The wall clock counts only if it is ahead."""
    numbers = SequenceFile(tmp_path / "announced")
    assert numbers.reserve(1000) == 1000
    assert numbers.reserve(10) == 1000 + RESERVED
    assert SequenceFile(tmp_path / "announced").reserve(10**12) == 10**12


@pytest.mark.parametrize("text", ["", "x", "-5", "9" * 40, "\N{ARABIC-INDIC DIGIT ONE}x"])
def test_a_damaged_file_is_replaced(tmp_path: Path, text: str) -> None:
    """Peers forget an agent after some seconds, so this is no reason to stop."""
    (tmp_path / "announced").write_text(text, encoding="utf-8")
    numbers = SequenceFile(tmp_path / "announced")
    assert numbers.reserve(7) == 7
    assert numbers.reserve(7) == 7 + RESERVED


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(StorageError, match="announced"):
        SequenceFile(tmp_path / "missing" / "announced").reserve(7)
