"""A reader who types the blocks of a page, in a folder of his own."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import runpy
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from teachmesh import Agent
from tests.cli.test_commands import run
from tests.docs.page_blocks import NOT_RUN, ROOT, Block, logical_lines

_TOOLS = frozenset({"cat", "cp", "curl", "ls", "mkdir", "mv", "python", "rm"})
_PORTS = ("7447", "8765")
WAIT_S = 60
"""Longest time for news to reach another agent."""
FEW = {"train": 16, "val": 4, "test": 4}
"""Photos per class that a reader keeps of each split of a built-in task."""
_EXTRAS = re.compile(r"\[([\w,]+)\]")


class Reader:
    """Runs blocks one after another.

    Args:
        place: current folder; also the folder of homes.
        cache: latents that the homes of all readers share.
        patch: for variables that a block exports.
    """

    def __init__(self, place: Path, cache: Path, patch: pytest.MonkeyPatch) -> None:
        self.place, self.cache, self.patch = place, cache, patch
        self.shown = ""
        """Output of all commands so far."""
        self._running: list[tuple[Path, subprocess.Popen[str]]] = []
        self._use_home(os.environ["TEACHMESH_HOME"])
        self._ports = {port: str(free_port()) for port in _PORTS}

    def run(self, block: Block) -> None:
        """Run a block, unless it gives a reason against it."""
        if block.text.startswith(NOT_RUN):
            return
        if named := re.match(r"# ([\w.]+\.(toml|py))\n", block.text):
            (self.place / named[1]).write_text(block.text)
        elif block.language == "python":
            script = self.place / f"block{len(list(self.place.glob('block*.py')))}.py"
            script.write_text(block.text)
            with contextlib.redirect_stdout(io.StringIO()) as shown:
                runpy.run_path(str(script), run_name="__main__")
            self.shown += shown.getvalue()
        elif block.language == "sh":
            for line in logical_lines(block.text):
                self._line(line)

    def learn(self, name: str) -> None:
        """Learn a task that the page takes for granted; the second time with another split."""
        agent = Agent()
        again = name in list(agent.skills)
        agent.learn(f"photos/{name}", replace=again, seed=int(again))

    def close(self) -> None:
        """Stop the agents that a page left running."""
        while self._running:
            self._stop(self._running.pop()[1])

    def _line(self, line: str) -> None:
        for port, free in self._ports.items():
            line = line.replace(port, free)
        words = shlex.split(line)
        if words[:2] == ["teachmesh", "up"]:
            self._start(words)
        elif words[0] == "teachmesh":
            self._wait()
            result = run(*words[1:])
            self.shown += result.stdout + result.stderr
            if words[1:3] == ["bench", "tasks"]:
                _thin_out(self.place / words[3])
        elif words[0] == "export":
            name, _, value = words[1].partition("=")
            assert name == "TEACHMESH_HOME", line
            self._use_home(value)
        elif words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text("utf-8"), line
        elif words[0] == "pip":
            _check_extras(line)
        else:
            self._tool(line, words[0])

    def _tool(self, line: str, name: str) -> None:
        assert name in _TOOLS, f"a page has a line that the tests cannot run: {line}"
        line = re.sub(r"^python\b", shlex.quote(sys.executable), line)
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
        self.shown += done.stdout
        assert done.returncode == 0, f"{line}: {done.stderr}"

    def _use_home(self, home: str) -> None:
        path = self.place / home
        self.patch.setenv("TEACHMESH_HOME", str(path))
        path.mkdir(mode=0o700, exist_ok=True)
        if not (path / "cache").exists():
            (path / "cache").symlink_to(self.cache)

    def _wait(self) -> None:
        """Give all running agents the time to exchange their skills, as a reader would."""
        self._wait_for(
            lambda: len({_digest(home) for home, _ in self._running}) < 2, "equal skills"
        )

    def _wait_for(self, condition: Callable[[], bool], expected: str) -> None:
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"expected {expected} within {WAIT_S} s"
            time.sleep(0.1)

    def _start(self, words: list[str]) -> None:
        named = dict(itertools.pairwise(words)).get("--home")
        home = self.place / (named or os.environ["TEACHMESH_HOME"])
        options = [] if self._running else ["--web-port", self._ports["8765"]]
        command = [sys.executable, "-m", "teachmesh", *words[1:], *options]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self._running.append((home, process))
        assert process.stdout is not None
        while "listens on" not in (line := process.stdout.readline()):
            assert line, f"{shlex.join(words)} ended"
        self._wait_for(lambda: (home / "web.json").exists(), "a page")

    def _stop(self, process: subprocess.Popen[str]) -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
        assert process.returncode == 0


def _thin_out(folder: Path) -> None:
    """Delete most photos of the built-in tasks, so that a page costs seconds."""
    for photo in folder.glob("*/*/*/*.png"):
        if int(photo.stem) >= FEW[photo.parts[-3]]:
            photo.unlink()


def _digest(home: Path) -> str:
    document: dict[str, str] = json.loads(
        run("status", "--json", "--local", "--home", str(home)).stdout
    )
    return document["digest"]


def free_port() -> int:
    """Return a port of this computer that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_extras(line: str) -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for extras in _EXTRAS.findall(line):
        for extra in extras.split(","):
            assert f"\n{extra} = [" in project, f"no extra {extra!r}: {line}"
