"""Methods whose answers need the images again (beneficial biases), measured as `evaluate` does.

An agent with a bank of its own learns all tasks and is asked once, in the end: a curve would cost
a second pass of the backbone for every image after every task. So these cells have one row.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillmesh.errors import DataError
from skillmesh.experiments.bench.ours import task_sizes
from skillmesh.experiments.evaluate import EvaluateOptions, run_evaluate
from skillmesh.experiments.ledger import TaskCost

if TYPE_CHECKING:
    from skillmesh.bank.home import Home
    from skillmesh.data.tasks import Task
    from skillmesh.experiments.bench.cell import Cell
    from skillmesh.model.backbone import Backbone


def run_by_agent(
    cell: Cell, tasks: Sequence[Task], paths: Sequence[Path], home: Home, backbone: Backbone
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Learn all tasks with one agent, then ask it about all test images.

    The evaluation counts multiply-accumulates for all tasks together; each task bears the share
    of its training and validation images.

    Args:
        cell: method, seed, backbone.
        tasks: of the stream, in its order.
        paths: of the tasks; they lie in one folder.
        home: whose backbones and latents are used; its bank is not touched.
        backbone: that of the cell.

    Returns:
        What the configuration decides, and what a clock said.

    Raises:
        DataError: the tasks do not lie in one folder.
    """
    started_s = time.perf_counter()
    document = _evaluate(cell, [task.name for task in tasks], paths, home)
    by_name = {entry["name"]: entry for entry in document["tasks"]}
    found = [by_name[task.name] for task in tasks]
    direct = all(entry["direct"] is not None for entry in found)
    answered = "direct" if direct and cell.method.startswith("moments") else "final"
    result = {
        "tasks": [task_sizes(task) for task in tasks],
        "needs_oracle": False,
        "parallel": "skills",
        "mapper": [[entry["mapper"] for entry in found]],
        "accuracy": [[entry[answered] for entry in found]],
        "final": [[entry["final"] for entry in found]],
        "oracle": [[entry["oracle"] for entry in found]],
        "costs": [cost.to_json() for cost in _costs(document, tasks)],
        "consolidation_macs": 0,
        "backbone_macs_per_image": backbone.macs_per_image,
        "latent_dim": backbone.last_dim,
    }
    wall = document["wall_s"]
    timing = {"learn_s": [wall["learn"]], "measure_s": wall["predict"]}
    return result, timing | {"evaluate_s": time.perf_counter() - started_s}


def _evaluate(
    cell: Cell, names: Sequence[str], paths: Sequence[Path], home: Home
) -> dict[str, Any]:
    folders = {path.parent for path in paths}
    if len(folders) != 1:
        raise DataError(f"expected the tasks of {cell.method!r} in one folder, got {len(folders)}")
    options = EvaluateOptions(
        folders.pop(),
        only=tuple(names),
        method=cell.method,
        backbone=cell.backbone,
        seed=cell.seed,
        home=home.path,
    )
    return run_evaluate(options)


def _costs(document: Mapping[str, Any], tasks: Sequence[Task]) -> list[TaskCost]:
    """What was counted for all tasks together, by the share of each task's images."""
    sizes = {entry["name"]: int(entry["skill_bytes"]) for entry in document["tasks"]}
    images = [len(task.train) + len(task.validation) for task in tasks]
    each = document["cost"]["learn_macs"] / sum(images)
    return [
        TaskCost(task.name, round(n * each), sizes[task.name])
        for task, n in zip(tasks, images, strict=True)
    ]
