"""An interruption of learning with biases leaves the bank as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from pathlib import Path

import pytest

from teachmesh.agent import Agent
from tests.bank.processes import start
from tests.learned_homes import LearnedHomes


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_an_interrupted_training_leaves_the_bank_as_it_was(
    learned: LearnedHomes,
    tmp_path: Path,
    cold: Path,
    end: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bank keeps its one skill, nothing is half-written, and learning works again."""
    home = learned.copy(tmp_path / "home", "warm")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = Agent(home).digest()
    with start(["-m", "tests.biases.bias_learner", str(home), str(cold)]) as learner:
        assert learner.stdout is not None
        assert learner.stdout.readline() == "training\n"
        assert _has_file_in(learner.pid, scratch), "nothing was kept on the disk"
        learner.send_signal(end)
        learner.communicate(timeout=100)
    assert learner.returncode != 0
    agent = Agent(home)
    assert agent.digest() == before
    assert agent.bank.check().is_clean
    assert [skill.task for skill in agent.infos()] == ["warm"]
    assert not list(scratch.rglob("*")), "activations were left on the disk"
    assert agent.learn(cold).task == "cold"


def _has_file_in(pid: int, folder: Path) -> bool:
    """Return True if a process has a file open in a folder, named or not; always True off Linux."""
    opened = Path(f"/proc/{pid}/fd")
    if not opened.is_dir():
        return True
    targets: list[str] = []
    for link in opened.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another thread may close a file meanwhile
            targets.append(str(link.readlink()))
    return any(target.startswith(str(folder)) for target in targets)
