"""Commands use the agent that runs in the home, and print what they would print without it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from teachmesh.agent import Agent
from teachmesh.cli.main import app
from teachmesh.cli.plain_lines import run_plain
from teachmesh.web.agent_page import AgentPage
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


def plain_outcome(*line: str, stdin: bytes | None = None) -> tuple[int | None, bytes, bytes]:
    """The same without typer; the exit code is None if the line is left to typer."""
    with CliRunner().isolation(stdin) as (stdout, stderr, _):
        code = run_plain(line)
        sys.stderr.flush()
        return code, stdout.getvalue(), stderr.getvalue()


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
    ("predict", "few/a.png", "--task=warm", "--json", "-q"),
    ("predict", "few", "--quiet"),
    ("predict", "few/a.png", "--json", "--csv"),
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
    ("peers", "list"),
    ("peers", "list", "--json"),
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
    assert requests(running) > before or command[-2:] == ("--json", "--csv")
    plain = plain_outcome(*command, stdin=stdin)
    assert (plain == used) == (plain[0] is not None) == is_plain(command)
    before = requests(running)
    assert used == outcome(*command, "--local", stdin=stdin)
    assert requests(running) == before


def is_plain(command: tuple[str, ...]) -> bool:
    """Whether a line of `COMMANDS` needs no typer."""
    return command[0] in ("predict", "status") and not {"--doubtful", "--false-alarms"} & {*command}


ONE_PROCESS = """
import sys
from teachmesh.__main__ import run
try:
    run()
finally:
    slow = {"typer", "click", "rich", "pydantic", "numpy", "torch", "http.client", "email"}
    sys.stderr.write(str(sorted(slow & set(sys.modules))))
"""


def test_an_answer_of_the_running_agent_loads_no_slow_package(running: Caller, place: Path) -> None:
    """The script `teachmesh` prints the same bytes as with `--local`."""
    line = ["predict", str(place / "few/a.png"), "--home"]
    line.append(str(running.server.service.agent.home.path))
    before = predictions(running)
    done = subprocess.run([sys.executable, "-c", ONE_PROCESS, *line], capture_output=True)
    assert predictions(running) == before + 1
    assert (done.returncode, done.stderr) == (0, b"[]")
    assert done.stdout == outcome(*line, "--local")[1]


BAD_ANSWERS = (
    b"",
    b"SSH-2.0-x\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n{}",
    b"HTTP/1.1 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}",
)


def test_a_port_with_another_server_is_no_agent(tmp_path: Path) -> None:
    """Whatever it answers, the command works by itself."""
    expected = outcome("status", "--home", str(tmp_path), "--local")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        RunningWeb(tmp_path).write(WebAddress(f"http://127.0.0.1:{port}/", "t", os.getpid()))
        for answer in BAD_ANSWERS:
            thread = threading.Thread(target=answer_once, args=(listening, answer))
            thread.start()
            assert outcome("status", "--home", str(tmp_path)) == expected
            thread.join()


def answer_once(listening: socket.socket, answer: bytes) -> None:
    """Answer one request with these bytes."""
    with listening.accept()[0] as connection:
        connection.recv(1 << 16)
        connection.sendall(answer)


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


def test_another_agent_that_has_the_port_by_now_is_not_used(
    running: Caller, tmp_path: Path
) -> None:
    """The file of a killed agent may name a port that the agent of another home has."""
    other = Agent(tmp_path)
    RunningWeb(tmp_path).write(WebAddress(running.server.url, "secret", os.getpid()))
    document = json.loads(outcome("status", "--json", "--home", str(tmp_path))[1])
    assert document["id"] == other.id


def test_up_refuses_an_address_of_others_without_a_token(tmp_path: Path) -> None:
    """Exit code 3, before anything is shared; the sentence names the variable."""
    code, _, errors = outcome("up", "--web-host", "0.0.0.0", "--home", str(tmp_path))
    assert (code, b"TEACHMESH_WEB_TOKEN" in errors) == (3, True)


def test_up_goes_on_without_the_packages_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the command that installs them; events still come."""
    monkeypatch.delitem(sys.modules, "teachmesh.web.web_server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    events: list[dict[str, Any]] = []
    page = AgentPage(events.append)
    page.prepare(Agent(tmp_path), host="127.0.0.1", port=0, device="auto")
    with page:
        page.report({"event": "stats"})
    assert 'pip install "teachmesh[web]"' in events[0]["message"]
    assert events[1:] == [{"event": "stats"}]


def test_the_page_of_up_shows_the_events_of_the_node(tmp_path: Path) -> None:
    """The first event has the address, and no event has the token."""
    events: list[dict[str, Any]] = []
    page = AgentPage(events.append)
    page.prepare(Agent(tmp_path), host="127.0.0.1", port=0, device="auto")
    with page, httpx.Client(base_url=events[0]["url"], timeout=100) as caller:
        page.report({"event": "synced", "count": 0})
        with caller.stream("GET", "/v1/events") as answer:
            found = next(line for line in answer.iter_lines() if line.startswith("data: "))
    assert json.loads(found[6:])["event"] == "synced"
    assert (tmp_path / "web.token").read_text() not in json.dumps(events)
    assert not (tmp_path / "web.json").exists()


def requests(running: Caller) -> int:
    """Number of requests that the agent has answered."""
    lines = running.server.service.counts.metrics()
    return sum(int(line.split()[-1]) for line in lines if "http_requests_total{" in line)


def predictions(running: Caller) -> int:
    """Number of images that the agent has classified."""
    lines = running.server.service.counts.metrics()
    return next(int(line.split()[-1]) for line in lines if line.startswith("teachmesh_images"))
