"""An interruption of learning with biases leaves the bank as it was."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from teachmesh.agent import Agent
from tests.bank.processes import start


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_an_interrupted_training_leaves_the_bank_as_it_was(
    tmp_path: Path, warm: Path, cold: Path, end: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank keeps its one skill, nothing is half-written, and learning works again."""
    home = tmp_path / "home"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    Agent(home).learn(warm)
    before = Agent(home).digest()
    with start(["-m", "tests.biases.bias_learner", str(home), str(cold)]) as learner:
        assert learner.stdout is not None
        assert learner.stdout.readline() == "training\n"
        assert _has_file_in(learner.pid, scratch), "nothing was kept on the disk"
        learner.send_signal(end)
        learner.communicate(timeout=60)
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
    return any(str(link.readlink()).startswith(str(folder)) for link in opened.iterdir())
