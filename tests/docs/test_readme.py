"""The blocks of README and how-to pages are run, in a folder that holds what they name."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import run
from tests.conftest import write_task

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/own_photos.md")


def _blocks(language: str, page: str = "README.md") -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with photos/screws, part.jpg and a home of its own."""
    write_task(tmp_path / "photos", "warm").rename(tmp_path / "photos" / "screws")
    write_task(tmp_path / "photos", "cold").rename(tmp_path / "photos" / "nails")
    first = sorted((tmp_path / "photos" / "screws" / "red").iterdir())[0]
    (tmp_path / "part.jpg").write_bytes(first.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_every_python_block_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a reader pastes works, and prints who taught it."""
    blocks = _blocks("python")
    assert blocks
    for number, block in enumerate(blocks):
        script = workplace / f"block{number}.py"
        script.write_text(block)
        runpy.run_path(str(script))
    assert "taught by" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("forked_programs")
def test_every_shell_line_runs(workplace: Path, page: str) -> None:
    """Each `teachmesh` line ends well; `up` is started, watched until it listens, and stopped.

    The first line and `up` are processes. The others run in this process, without its imports.
    """
    lines = [line for block in _blocks("sh", page) for line in block.splitlines()]
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("teachmesh ")]
    assert len(commands) >= 6
    for number, line in enumerate(commands):
        arguments = shlex.split(line)[1:]
        command = [sys.executable, "-m", "teachmesh", *arguments]
        if arguments[0] == "up":
            _runs_until_stopped(command)
        elif number == 0:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}: {done.stderr}"
        else:
            run(*arguments)


def _runs_until_stopped(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            assert "listens on" in process.stdout.readline()
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
    assert process.returncode == 0
