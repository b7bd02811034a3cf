"""Child processes of the demo fail with a clear error and never outlive their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from teachmesh.errors import DataError, NetworkError, TeachmeshError
from teachmesh.model.number_type import Arithmetic
from teachmesh_lab.demo import agent_processes
from teachmesh_lab.demo import answer_process as answering
from teachmesh_lab.demo.agent_processes import AgentProcess, start_tethered
from teachmesh_lab.demo.run_demo import DemoOptions, run_demo

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("forked_programs")


def _alive(pid: int) -> bool:
    """Return whether a process runs; zombies do not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and ps are POSIX")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL runs no `finally`, but the closed pipe still ends the child."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.orphans", str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _alive(child)
        parent.kill()
    assert _within(60, lambda: not _alive(child))


def test_an_agent_that_cannot_start_reports_its_error(tmp_path: Path) -> None:
    """The error contains the last lines of the agent's messages."""
    (tmp_path / "alice").write_text("a file where a folder should be")
    agent = AgentProcess("alice", tmp_path / "alice")
    try:
        with pytest.raises(TeachmeshError, match=r"alice ended before the start: .*alice"):
            agent.wait_for(lambda _: False, "the start", time.monotonic() + 60)
    finally:
        agent.stop()


def test_a_missing_answer_is_an_error_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All children are ended, including the one that was waited for."""
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, arguments: list[str], **files: object) -> subprocess.Popen[bytes]:
        started.append(start_tethered("tests.lab.sleeper", [], **files))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(answering, "start_tethered", start)
    monkeypatch.chdir(ROOT)
    with pytest.raises(NetworkError, match=r"answers of alice within 0 s"):
        answering.answer_homes([tmp_path / "alice", tmp_path / "bob"], tmp_path, deadline_s=0.2)
    assert all(process.poll() is not None for process in started)


def test_all_processes_of_a_demo_use_the_chosen_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that learn, and those that answer."""
    seen: list[list[str]] = []

    def refuse(_module: str, arguments: list[str], **_files: object) -> None:
        seen.append(arguments)
        raise OSError("not started")

    monkeypatch.setattr(agent_processes, "start_tethered", refuse)
    monkeypatch.setattr(answering, "start_tethered", refuse)
    chosen = Arithmetic("openvino", "bf16")
    with pytest.raises(OSError, match="not started"):
        AgentProcess("alice", tmp_path / "alice", arithmetic=chosen)
    with pytest.raises(OSError, match="not started"):
        answering.answer_homes([tmp_path / "alice"], tmp_path, arithmetic=chosen)
    assert len(seen) == 2
    for arguments in seen:
        first = arguments.index("--engine")
        assert arguments[first : first + 4] == ["--engine", "openvino", "--dtype", "bf16"]


def test_a_folder_with_files_is_not_used_for_homes(tmp_path: Path) -> None:
    """Files in the folder are not changed."""
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "mine").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        run_demo(DemoOptions(keep=tmp_path / "keep"), log=lambda _: None)
    assert (tmp_path / "keep" / "mine").read_text() == "mine"
