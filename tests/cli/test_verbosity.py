"""--verbose and --quiet: the log and the remarks on stderr, never a change of stdout."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from teachmesh.cli.main import app


def _learn(folder: Path, *options: str, first: tuple[str, ...] = ()) -> Result:
    home = ("--home", str(folder / "home"))
    return CliRunner().invoke(
        app, [*first, "learn", str(folder / "tasks" / "warm"), *options, *home]
    )


def test_verbose_logs_steps_and_quiet_drops_remarks(tmp_path: Path, warm: Path) -> None:
    """Stdout is the same; stderr has the log, the remarks, or nothing."""
    plain = _learn(tmp_path)
    assert plain.exit_code == 0
    assert plain.stderr.startswith("3 classes, ")
    verbose = _learn(tmp_path, "-v", "--replace")
    assert (
        "INFO teachmesh.agent.teaching.learning_agent: learning warm: 3 classes" in verbose.stderr
    )
    assert "INFO teachmesh.bank.store: saved skill" in verbose.stderr
    assert "INFO teachmesh.data.tasks: found 36 images in" in verbose.stderr
    assert "DEBUG" not in verbose.stderr
    everything = _learn(tmp_path, "-vv", "--replace")
    assert "DEBUG teachmesh.data.loader: decoded images 0 to" in everything.stderr
    quiet = _learn(tmp_path, "-q", "--replace")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    remarks, *results = (len(r.stdout.splitlines()) for r in (plain, verbose, quiet))
    assert results == [remarks, remarks]


@pytest.mark.parametrize("first", [("-q",), ("-v",)])
def test_the_options_may_stand_before_the_command(
    tmp_path: Path, warm: Path, first: tuple[str, ...]
) -> None:
    """Errors are printed even with --quiet, and the log ends with the command."""
    failed = _learn(tmp_path / "nowhere", first=first)
    assert failed.exit_code == 4
    assert failed.stderr.startswith("error: expected a folder")
    assert logging.getLogger("teachmesh").level == logging.NOTSET
    handlers = logging.getLogger("teachmesh").handlers
    assert [type(handler) for handler in handlers] == [logging.NullHandler]
    again = CliRunner().invoke(app, ["learn", str(warm), "--home", str(tmp_path / "home")])
    assert again.stderr.startswith("3 classes, ")
    assert "INFO" not in again.stderr
