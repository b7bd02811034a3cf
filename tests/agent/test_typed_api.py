"""A program that uses the Python API passes `mypy --strict`: `make lint` checks it."""

from __future__ import annotations

import sys
from pathlib import Path

import teachmesh

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("typed_user_script.py")


def test_a_users_program_is_checked_by_mypy_strict() -> None:
    """`make lint` gives mypy this file, in strict mode; py.typed is shipped."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    assert SCRIPT.relative_to(ROOT).as_posix() in options["files"]
    assert options["strict"] is True
    assert (Path(teachmesh.__file__).parent / "py.typed").exists()
