"""A program that uses the Python API passes `mypy --strict`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import teachmesh

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)  # without the cache of an earlier run, mypy takes minutes
def test_a_users_program_passes_mypy_strict() -> None:
    """No call returns a union that the program would have to take apart; py.typed is shipped."""
    assert (Path(teachmesh.__file__).parent / "py.typed").exists()
    script = Path(__file__).with_name("typed_user_script.py")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
