"""Samples of `maha` that do not fit into a skill are refused before an image is embedded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.data.tasks import Split, Task, read_task
from teachmesh.errors import UsageError
from teachmesh.learning.sample_limits import check_sample_limits
from teachmesh.learning.variants import MapperConstants
from teachmesh.packet.limits import DEFAULT_LIMITS, Limits
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.bench.jobs import make_plan
from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate
from teachmesh_lab.streams.task_stream import StreamSpec

ALL = MapperConstants(samples="all")


def task_of(read: Task, per_class: int) -> Task:
    """Return a task with a number of training images of each class."""
    labels = np.repeat(np.arange(len(read.classes)), per_class)
    train = Split(tuple(read.train.images[:1]) * len(labels), labels)
    return dataclasses.replace(read, train=train)


@pytest.mark.parametrize(("per_class", "fits"), [(1024, True), (1025, False)])
def test_a_class_may_have_1024_samples(warm: Path, per_class: int, fits: bool) -> None:
    """Oracle: the limit of the format. Without `maha`, or with 5 samples, any number is fine."""
    task = task_of(read_task(warm), per_class)
    check_sample_limits(task, {"moments"}, ALL, 16)
    check_sample_limits(task, {"maha"}, MapperConstants(), 16)
    if fits:
        check_sample_limits(task, {"maha"}, ALL, 16)
        return
    with pytest.raises(UsageError, match="at most 1024 samples of each class in a skill, got 1025"):
        check_sample_limits(task, {"maha"}, ALL, 16)


def test_samples_may_not_exceed_the_size_of_a_skill(warm: Path) -> None:
    """3 x 1,000 samples of 4 bytes per number: D = 1,397 fits into 16 MiB, D = 1,398 does not."""
    task = task_of(read_task(warm), 1000)
    check_sample_limits(task, {"maha"}, ALL, 1397)
    with pytest.raises(UsageError, match=r"at most 16 MiB, got 16\.0 MiB of samples"):
        check_sample_limits(task, {"maha"}, ALL, 1398)


def test_every_command_refuses_before_it_embeds(
    warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learning, evaluation and the plan of a run; no latents are cached."""
    few = dataclasses.replace(DEFAULT_LIMITS, samples=2)
    assert isinstance(few, Limits)
    monkeypatch.setattr("teachmesh.learning.sample_limits.DEFAULT_LIMITS", few)
    agent = Agent(tmp_path / "home")
    grid = Grid(("maha",), StreamSpec(warm.parent.as_posix()), options={"samples": "all"})
    options = EvaluateOptions(warm.parent, method="maha", constants=ALL, home=agent.home.path)
    for attempt in (
        lambda: agent.learn(warm, method="maha", samples="all"),
        lambda: make_plan(BenchConfig("few", (grid,)), agent.home),
        lambda: run_evaluate(options),
    ):
        with pytest.raises(UsageError, match="at most 2 samples of each class"):
            attempt()
    assert "backbone" not in vars(agent)
    assert not list((agent.home.cache / "latents").rglob("*.npz"))
