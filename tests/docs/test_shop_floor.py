"""The journey of the shop floor: two boxes learn, share, correct, grow and withdraw."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples/shop_floor.py"


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.timeout(600)  # starts more than twenty processes, possibly on one core
def test_the_day_on_the_shop_floor_ends_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its checks: the right part after each step, equal skills, none after withdrawing."""
    runpy.run_path(str(SCRIPT))["day"](tmp_path)
    shown = capsys.readouterr().out
    assert "learned, shared, corrected, grown and withdrawn" in shown
    assert shown.count("both boxes have the same skills") == 4
