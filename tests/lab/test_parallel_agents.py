"""Agents that learn parts of tasks end with the skills and answers of one agent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import torch

from benchmarks import bench_parallel


class OneByOne(Executor):
    """Run the work of one agent in this process, in turns with the other agents."""

    def __init__(self) -> None:
        self._agent: Any = None

    def submit(self, work: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        """Do the work at once, with this agent."""
        bench_parallel._agent = self._agent
        done: Future[Any] = Future()
        done.set_result(work(*args))
        self._agent = bench_parallel._agent
        return done


def test_two_agents_with_one_task_make_the_skill_of_one() -> None:
    """One of them owns no task, and gives a part."""
    before = torch.get_num_threads()
    try:
        document = bench_parallel.run((1, 2), 1, 24, OneByOne)
    finally:
        torch.set_num_threads(before)
    assert [row["agents"] for row in document["rows"]] == [1, 2]
    assert all(row["equal"] for row in document["rows"])
    assert all(row["correct"] > 0.5 for row in document["rows"])
    assert not any(row["quarantined"] for row in document["rows"])
