"""Cells of baselines: accuracy matrices and costs, computed from images or latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.data.loader import first_failure, iterate_batches
from teachmesh.data.tasks import check_failed
from teachmesh_lab.baselines.baseline_registry import BASELINES, run_frozen, run_trained
from teachmesh_lab.baselines.closed_forms import MULTI
from teachmesh_lab.baselines.image_stream import LatentSplit, LatentTask, PixelSplit, PixelTask
from teachmesh_lab.bench.baseline_options import Scalar, hyper_of, with_defaults
from teachmesh_lab.bench.starting_nets import StartingNet, network_columns, starting_net
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.evaluation.image_answers import ImageAnswers

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from teachmesh.data.tasks import Split, Task
    from teachmesh.model.backbone import Backbone
    from teachmesh_lab.baselines.stream_result import StreamResult
    from teachmesh_lab.bench.cell import Cell
    from teachmesh_lab.bench.stream_latents import TaskLatents

_MEASURES = {"oracle": "oracle", "free": "accuracy", "mapper": "mapper"}

Document = dict[str, Any]


def run_trained_baseline(
    cell: Cell, tasks: Sequence[Task], backbones: Path, device: torch.device | None = None
) -> tuple[Document, Document]:
    """Train a whole network on one task after another.

    Args:
        cell: method, seed, training options and backbone.
        tasks: tasks of the stream.
        backbones: backbone folder of the home.
        device: device of the network; the CPU by default.

    Returns:
        The results determined by the configuration, and the measured seconds.

    Raises:
        UsageError: an unknown option.
        DataError: more than a fifth of the images of a split cannot be read.
        BackboneError: the backbone is unknown or damaged.
        MissingExtraError: the network is timm's, and timm is not installed.
    """
    options = with_defaults(dict(cell.options))
    start = starting_net(cell.method, options, backbones, cell.backbone).on(device)
    stream = [pixel_task(task, start.size_px) for task in tasks]
    result = _train(cell, start, stream, options)
    passes = [0] * len(tasks)
    document, timing = _documents(result, passes)
    once = BASELINES[cell.method].answers_once and not hyper_of(cell.method, options).get("infer")
    answered = _answered(stream, once=once)
    document["test_macs_per_image"] = round(result.costs.test_macs / answered)
    numbers = int(result.settings["parameters"])
    document["network"] = network_columns(start.name, numbers, start.size_px)
    if cell.method == "joint":
        # Joint training needs all images in one place.
        document["parallel"] = "gather"
        document["gather_bytes"] = sum(image_bytes(task) for task in tasks)
    document["answers"] = _answers(result, [task.test.labels for task in stream])
    sizes = [(len(t.classes), len(t.train), len(t.validation), len(t.test)) for t in stream]
    return document | {"tasks": _task_rows(result.tasks, sizes)}, timing


def _train(
    cell: Cell, start: StartingNet, stream: Sequence[PixelTask], options: Mapping[str, Scalar]
) -> StreamResult:
    return run_trained(
        cell.method,
        stream,
        start.factory,
        epochs=int(options["epochs"]),
        batch_size=int(options["batch_size"]),
        rate=float(options["rate"]),
        hyper=hyper_of(cell.method, options),
        seed=cell.seed,
        choice_tasks=int(options["choice_tasks"]),
        running_norms=options["norms"] == "running",
    )


def run_frozen_baseline(
    cell: Cell, latents: Sequence[TaskLatents], backbone: Backbone
) -> tuple[Document, Document]:
    """Fit a closed-form classifier to latents; its costs include backbone passes.

    Args:
        cell: method, seed and options, of which only `choice_tasks` is used.
        latents: latents of the tasks.
        backbone: network that computed the latents.

    Returns:
        The results determined by the configuration, and the measured seconds.

    Raises:
        UsageError: an unknown option.
    """
    first = int(with_defaults(dict(cell.options))["choice_tasks"])
    stream = [latent_task(task, cell.method) for task in latents]
    result = run_frozen(cell.method, stream, seed=cell.seed, choice_tasks=first)
    images = [len(task.train) + len(task.validation) for task in latents]
    document, timing = _documents(result, [n * backbone.macs_per_image for n in images])
    own = round(result.costs.test_macs / _answered(stream, once=False))
    document["test_macs_per_image"] = backbone.macs_per_image + own
    document["answers"] = _answers(result, [task.test.labels for task in latents])
    sizes = [(len(t.classes), len(t.train), len(t.validation), len(t.test)) for t in latents]
    return document | {"tasks": _task_rows(result.tasks, sizes)}, timing


def pixel_task(task: Task, size_px: int) -> PixelTask:
    """Decode the readable images of a task into square arrays of pixels.

    Raises:
        DataError: more than a fifth of the images of a split cannot be read.
    """
    parts = [
        _pixels(split, size_px, task.name) for split in (task.train, task.validation, task.test)
    ]
    return PixelTask(task.name, task.classes, *parts)


def latent_task(task: TaskLatents, method: str) -> LatentTask:
    """Return a task with the latents that a closed-form method reads.

    Args:
        task: latents and labels of a task.
        method: name of the method. If it ends in `-multi`, the method reads multi-depth latents,
            otherwise the paper's, of the pooled last layer.
    """
    kind = "multi" if method.endswith(MULTI) else "last"
    parts = [
        LatentSplit(getattr(split.latents, kind), split.labels)
        for split in (task.train, task.validation, task.test)
    ]
    return LatentTask(task.name, task.classes, *parts)


def _pixels(split: Split, size_px: int, name: str) -> PixelSplit:
    images = np.zeros((0, 3, size_px, size_px), dtype=np.uint8)
    parts, kept = [images], [np.zeros(0, dtype=np.int64)]
    failed: list[tuple[int, str]] = []
    for batch in iterate_batches(split.images, size_px, batch_size=64):
        parts.append(np.ascontiguousarray(batch.images.numpy()))
        kept.append(batch.indices)
        failed += batch.failed
    check_failed(len(failed), len(split.images), name, first_failure(split.images, failed))
    return PixelSplit(np.concatenate(parts), split.labels[np.concatenate(kept)])


def _documents(result: StreamResult, passes: Sequence[int]) -> tuple[Document, Document]:
    info = BASELINES[result.name]
    costs = result.costs
    sizes = costs.task_bytes or (0,) * len(result.tasks)
    task_costs = [
        TaskCost(name, spent + macs, size)
        for name, spent, macs, size in zip(
            result.tasks, passes, costs.learn_macs, sizes, strict=True
        )
    ]
    document: Document = {
        "needs_oracle": info.oracle,
        "parallel": "skills" if costs.task_bytes is not None else "chain",
        "costs": [cost.to_json() for cost in task_costs],
        "consolidation_macs": costs.consolidate_macs,
        "hand_over_bytes": costs.total_bytes,
        "hyper": dict(result.choice.hyper),
        "tried": [[dict(hyper), accuracy] for hyper, accuracy in result.choice.tried],
        "choice_macs": result.choice.macs,
        "settings": dict(result.settings),
    }
    for theirs, ours in _MEASURES.items():
        document[ours] = _rows(getattr(result.test, theirs))
    timing = {
        "learn_s": list(costs.learn_s),
        "measure_s": costs.test_s,
        "choice_s": result.choice.wall_s,
    }
    return document, timing


def _answers(result: StreamResult, labels: Sequence[np.ndarray]) -> list[Document]:
    """Return the answers to the test images of each task, after the last task."""
    found = []
    for answers, classes in zip(result.answers.test, labels, strict=True):
        free = (None, None) if answers.free is None else answers.free.T
        found.append(ImageAnswers(classes, answers.oracle == classes, *free).to_json())
    return found


def _rows(matrix: np.ndarray) -> list[list[float]] | None:
    """Return the measured rows of the lower triangle (all or the last); None if there are none."""
    if math.isnan(matrix[-1, 0]):
        return None
    rows = [[float(value) for value in row[: i + 1]] for i, row in enumerate(matrix)]
    return rows if not math.isnan(matrix[0, 0]) else rows[-1:]


def _answered(stream: Sequence[PixelTask] | Sequence[LatentTask], *, once: bool) -> int:
    """Return the number of classifications of validation and test images in a run."""
    counts = [len(task.validation) + len(task.test) for task in stream]
    return sum(counts) if once else sum(sum(counts[: i + 1]) for i in range(len(counts)))


def _task_rows(
    names: Sequence[str], sizes: Sequence[tuple[int, int, int, int]]
) -> list[dict[str, Any]]:
    keys = ("classes", "train", "validation", "test")
    return [
        {"name": name, **dict(zip(keys, size, strict=True))}
        for name, size in zip(names, sizes, strict=True)
    ]


def image_bytes(task: Task) -> int:
    """Return the total file size of a task's training and validation images."""
    return sum(
        ref.path.stat().st_size if ref.size_bytes is None else ref.size_bytes
        for split in (task.train, task.validation)
        for ref in split.images
    )
