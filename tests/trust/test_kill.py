"""After kill -9 at any point all acknowledged skills are there, and none is incomplete.

More kills: make drill
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.trust.kill_drill import DRILLS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
@pytest.mark.usefixtures("forked_programs")
@pytest.mark.parametrize(("work", "kills"), [("write", 8), ("receive", 2), ("learn", 1)])
def test_a_killed_process_loses_nothing_that_was_acknowledged(
    work: str, kills: int, tmp_path: Path
) -> None:
    """Kills in operations of the disk, also in the middle of a write, and between them."""
    assert DRILLS[work](kills, tmp_path) == kills, "a process ended before its kill"
