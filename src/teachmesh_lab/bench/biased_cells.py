"""Cells of methods with beneficial biases, measured as in `evaluate`, after every task.

An agent with a temporary bank receives one skill after another. A second pass depends only on the
image and on the skill, so its result is kept. A later task costs second passes only for its own
test images and for images that are mapped to another task than before.
Trained biases are kept in the home's cache, so that cells of other methods can use them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent import Agent
from teachmesh.agent.answers.second_passes import Known
from teachmesh_lab.bench.bench_methods import constants_of
from teachmesh_lab.bench.cell import MEASURES
from teachmesh_lab.bench.own_cells import counted, make_skill, task_sizes
from teachmesh_lab.evaluation.bias_store import StoredBiases
from teachmesh_lab.evaluation.latent_cache import LatentCache
from teachmesh_lab.evaluation.measure import TaskScore, measure

if TYPE_CHECKING:
    from teachmesh.bank.home import Home
    from teachmesh.packet.skill import Skill
    from teachmesh_lab.bench.cell import Cell
    from teachmesh_lab.bench.stream_latents import TaskLatents


def run_by_agent(
    cell: Cell, tasks: Sequence[TaskLatents], home: Home, device: str = "cpu"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Learn all tasks with one agent, and score its answers after each task.

    Args:
        cell: method, seed and backbone.
        tasks: tasks in the order of the stream.
        home: home whose backbones and caches are used; its bank is not used.
        device: device of the backbone.

    Returns:
        The results determined by the configuration, and the measured seconds.

    Raises:
        DataError: an image can no longer be read.
    """
    clock = time.perf_counter
    store = StoredBiases(LatentCache(home.cache / "biases"))
    constants = constants_of(dict(cell.options))
    sizes: list[int] = []
    skills: dict[str, Skill] = {}
    learn_s: list[float] = []
    student_s = measure_s = 0.0
    rows: list[list[TaskScore]] = []
    known: dict[str, Known] = {task.name: {} for task in tasks}
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as folder:
        agent = Agent(
            home.path,
            backbone=cell.backbone,
            mapper=cell.method,
            bank=Path(folder) / "bank",
            ridge=constants.ridge,
            device=device,
        )
        for position, task in enumerate(tasks):
            before_s = clock()
            skill, data = make_skill(cell.method, task, agent.backbone, cell.seed, constants, store)
            learn_s.append(clock() - before_s)
            before_s = clock()
            skills[agent.receive(data).id] = skill
            agent.sync()
            student_s += clock() - before_s
            sizes.append(len(data))
            before_s = clock()
            rows.append(_measure_agent(agent, tasks[: position + 1], known))
            measure_s += clock() - before_s
        # The second pass uses the biases of the mapped task. The bank must still exist here.
        passes = 1 if agent.second_pass() is None else 2
        timing = {"learn_s": learn_s, "student_s": student_s, "measure_s": measure_s}
    result = _matrices(rows) | {
        "tasks": [task_sizes(task) for task in tasks],
        "needs_oracle": False,
        "parallel": "skills",
        **counted(cell, tasks[0].test.latents, agent.backbone, skills, sizes, passes),
    }
    return result, timing


def _measure_agent(
    agent: Agent, tasks: Sequence[TaskLatents], known: Mapping[str, Known]
) -> list[TaskScore]:
    classes = {task.name: task.classes for task in tasks}
    tests = {task.name: task.test for task in tasks}
    images = {task.name: task.images.test for task in tasks}
    return measure(agent, classes, tests, images, known)


def _matrices(rows: Sequence[Sequence[TaskScore]]) -> dict[str, Any]:
    """Return the lower triangle of each accuracy matrix, and the last answers to each image."""
    matrices = {
        name: [[getattr(score, kind) for score in scores] for scores in rows]
        for name, kind in MEASURES.items()
    }
    return {**matrices, "answers": [s.answers.to_json() for s in rows[-1] if s.answers]}
