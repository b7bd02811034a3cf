"""Commands use the agent that runs in the home, and print what they would print without it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from teachmesh.cli.main import app
from teachmesh.web.running_web import RunningWeb, WebAddress
from tests.conftest import write_task
from tests.web.web_agents import Caller, pictures, served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, some of which cannot be read."""
    folder = tmp_path_factory.mktemp("commands")
    warm = write_task(folder / "tasks", "warm")
    few = folder / "few"
    few.mkdir()
    shutil.copy(warm / "red/00.png", few / "a.png")
    shutil.copy(warm / "yellow/00.png", few / "b.png")
    (few / "c.png").write_bytes(b"text")
    (few / "list.csv").write_text("path,label\na.png,x\nb.png,y\n")
    shutil.make_archive(str(folder / "packed"), "zip", few)
    return folder


@pytest.fixture(scope="module")
def running(place: Path) -> Iterator[Caller]:
    """An agent that learned `warm` and runs."""
    with served(place / "home") as found:
        found.learn(pictures(place / "tasks/warm"), name="warm")
        yield found


def outcome(*line: str, stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a command."""
    done = CliRunner().invoke(app, list(line), input=stdin)
    return done.exit_code, done.stdout_bytes, done.stderr_bytes


COMMANDS = (
    ("predict", "few/a.png"),
    ("predict", "few/a.png", "few/b.png", "few/c.png", "--json"),
    ("predict", "few", "--csv"),
    ("predict", "few/list.csv", "-k", "0"),
    ("predict", "packed.zip"),
    ("predict", "few/c.png"),
    ("predict", "few/c.png", "--json"),
    ("predict", "few/d.png"),
    ("predict", "few/a.png", "--task", "warm", "--doubtful", "1"),
    ("predict", "few/a.png", "--task", "cold"),
    ("predict", "few/a.png", "--false-alarms", "0.01"),
    ("predict", "few/a.png", "--false-alarms", "0.9"),
    ("predict", "-", "few/b.png"),
    ("skills", "list"),
    ("skills", "list", "--all", "--json"),
    ("skills", "show", "warm"),
    ("skills", "show", "warm", "--json"),
    ("skills", "show", "worm"),
    ("skills", "history", "warm"),
    ("skills", "history", "worm", "--json"),
    ("status",),
    ("status", "--json"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_answers_are_those_of_a_process_of_its_own(
    running: Caller, place: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output, errors and exit code are equal, byte for byte."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("TEACHMESH_HOME", str(running.server.service.agent.home.path))
    stdin = (place / "few/a.png").read_bytes() if "-" in command else None
    before = requests(running)
    used = outcome(*command, stdin=stdin)
    assert requests(running) > before
    before = requests(running)
    assert used == outcome(*command, "--local", stdin=stdin)
    assert requests(running) == before


def test_an_agent_with_other_settings_is_not_used(
    running: Caller, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another method or device needs an agent of the command's own."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("TEACHMESH_HOME", str(running.server.service.agent.home.path))
    before = predictions(running)
    for options in (("--method", "maha"), ("--device", "cpu"), ("--encoder", "auto")):
        outcome("predict", "few/a.png", *options)
    assert predictions(running) == before


def test_a_file_that_a_killed_agent_left_is_no_agent(tmp_path: Path) -> None:
    """Neither a process that ended, nor a port without a server, nor another file."""
    left = RunningWeb(tmp_path)
    expected = outcome("status", "--home", str(tmp_path), "--local")
    for address in (WebAddress("http://127.0.0.1:9/", "t", 1), WebAddress("x", "t", 2**22 + 1)):
        left.write(address)
        assert outcome("status", "--home", str(tmp_path)) == expected
    left.path.write_text('{"url": 5}')
    assert outcome("status", "--home", str(tmp_path)) == expected


def requests(running: Caller) -> int:
    """Number of requests that the agent has answered."""
    lines = running.server.service.counts.metrics()
    return sum(int(line.split()[-1]) for line in lines if "http_requests_total{" in line)


def predictions(running: Caller) -> int:
    """Number of images that the agent has classified."""
    lines = running.server.service.counts.metrics()
    return next(int(line.split()[-1]) for line in lines if line.startswith("teachmesh_images"))
