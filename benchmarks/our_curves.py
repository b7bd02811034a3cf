"""Our side of `avalanche_check`: start of every run, and our trained baselines on the digits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.permuted_digits import (
    BATCH,
    CLASSES,
    RATE,
    SIDE,
    TASKS,
    TEMPERATURE,
    TRAIN,
    DigitNet,
    DigitTask,
    Trial,
    make_tasks,
)
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.baseline_registry import run_trained
from teachmesh_lab.baselines.image_stream import PixelSplit, PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.seeding import make_generator

_CLASS_NAMES = tuple(str(digit) for digit in range(CLASSES))


def run(trial: Trial) -> dict[str, Any]:
    """Return the mean accuracy on the tasks so far, after each task."""
    result = run_trained(
        trial.method,
        [pixel_task(index, task) for index, task in enumerate(make_tasks(trial.seed))],
        new_net,
        epochs=trial.epochs,
        batch_size=BATCH,
        rate=RATE,
        hyper=hyper(trial),
        seed=trial.seed,
    )
    curve = [float(np.mean(row[: i + 1])) for i, row in enumerate(result.test.oracle)]
    return {**asdict(trial), "curve": curve}


def start(seed: int, epochs: int) -> dict[str, np.ndarray]:
    """Return the initial weights by name, and the order of images per task and epoch.

    The order of task i is an (epochs, TRAIN) array named `order.i`.
    """
    net = MultiHead(build_net(new_net, seed), SIDE, seed)
    found = {}
    for index in range(TASKS):
        net.add_head(index, CLASSES)
        generator = make_generator(seed, "order", index)
        orders = [torch.randperm(TRAIN, generator=generator) for _ in range(epochs)]
        found[f"order.{index}"] = np.asarray(torch.stack(orders).numpy())
    return found | {name: np.asarray(w.numpy()) for name, w in net.state_dict().items()}


def new_net(_: int) -> DigitNet:
    """Build the common network, as a `NetFactory`."""
    return DigitNet()


def hyper(trial: Trial) -> dict[str, float]:
    """Return the hyper-parameters of a trial; importances use all training images."""
    if trial.method in ("fine-tune", "er"):
        return dict(trial.details)
    found = {"strength": trial.strength, **trial.details}
    if trial.method == "lwf":
        return found | {"temperature": TEMPERATURE}
    return found | {"images": float(TRAIN)}


def pixel_task(index: int, task: DigitTask) -> PixelTask:
    """Return a task with its grey pixels in three equal channels, and no validation images."""
    images = np.repeat(task.images.reshape(-1, 1, SIDE, SIDE), 3, axis=1)
    ends = ((0, TRAIN), (TRAIN, TRAIN), (TRAIN, len(images)))
    parts = [PixelSplit(images[start:end], task.labels[start:end]) for start, end in ends]
    return PixelTask(f"permutation {index}", _CLASS_NAMES, *parts)
