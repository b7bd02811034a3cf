"""Agreement and speed of the engines and number types, on a few images of real tasks.

python -m benchmarks.bench_engines TASK ... --images 40 --json
python -m benchmarks.bench_engines TASK ... --home HOME --backbone lite0

Each combination of a learning and a predicting engine answers the same test images. Without bf16
on this processor, --emulate computes it slowly, to measure its accuracy only. Option --backbone
names a backbone of --home, which is not changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from teachmesh.agent import Agent
from teachmesh.bank.home import open_to_read, resolve_home
from teachmesh.data.image_inputs import ImageInput
from teachmesh.data.loader import read_batch
from teachmesh.data.tasks import Split, Task, read_task
from teachmesh.model import number_type
from teachmesh.model.backbone import Backbone, Latents

ROUNDS = 7
BATCH_SIZE = 16
_REFERENCE = ("torch", "fp32")


@dataclass(frozen=True)
class SmallTask:
    """Some images of one task.

    Attributes:
        name: name of the task.
        train: training images and the names of their classes.
        test: test images and the names of their classes.
    """

    name: str
    train: tuple[list[np.ndarray], list[str]]
    test: tuple[list[np.ndarray], list[str]]

    @classmethod
    def of(cls, task: Task, n_images: int, side: int) -> SmallTask:
        """Choose images with seeded draws, the training images of each class equally often."""
        parts = (_some(task, task.train, n_images, side), _some(task, task.test, n_images, side))
        return cls(task.name, *parts)


def run(
    tasks: Sequence[SmallTask],
    engines: Sequence[tuple[str, str]],
    backbone: str | None = None,
    home: Path | None = None,
) -> dict[str, Any]:
    """Return agreement and speed, see the docstring of this module."""
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as name:

        def agent_of(learned: tuple[str, str], asked: tuple[str, str]) -> Agent:
            own = Path(name) / "-".join(learned)
            return Agent(own, backbone=backbone, device="cpu", engine=asked[0], dtype=asked[1])

        for one in engines:
            give_backbone(Path(name) / "-".join(one), backbone, home)
        agents = {one: agent_of(one, one) for one in engines}
        for task, agent in product(tasks, agents.values()):
            agent.learn(task.train, name=task.name, split=(0, 0))
        readers = {pair: agent_of(*pair) for pair in product(engines, engines)}
        answers = {pair: _answers(agent, tasks) for pair, agent in readers.items()}
        backbones = {one: agent.backbone for one, agent in agents.items()}
        images = _pixels(tasks, backbones[_REFERENCE])
        return {
            "schema": "teachmesh.engines/1",
            "backbone": backbones[_REFERENCE].name,
            "images": len(answers[_REFERENCE, _REFERENCE]),
            "answers": [_agreement(pair, answers, tasks) for pair in answers],
            "engines": [_compared(one, backbones, images) for one in engines],
        }


def give_backbone(own: Path, backbone: str | None, home: Path | None) -> None:
    """Copy a backbone from a home into the home of an agent; the embedded one needs no file."""
    source = open_to_read(home).backbones / (backbone or "")
    if backbone and source.is_dir():
        shutil.copytree(source, resolve_home(own).backbones / backbone)


def _answers(agent: Agent, tasks: Sequence[SmallTask]) -> list[tuple[str, str]]:
    asked = [image for task in tasks for image in task.test[0]]
    return [(found.task, found.class_name) for found in agent.predict(asked)]


def _agreement(
    pair: tuple[tuple[str, str], tuple[str, str]],
    answers: dict[Any, list[tuple[str, str]]],
    tasks: Sequence[SmallTask],
) -> dict[str, Any]:
    found, usual = answers[pair], answers[_REFERENCE, _REFERENCE]
    right = [(task.name, label) for task in tasks for label in task.test[1]]
    return {
        "learned": "/".join(pair[0]),
        "predicted": "/".join(pair[1]),
        "equal answers": _share(found, usual),
        "accuracy": _share(found, right),
    }


def _share(one: Sequence[object], other: Sequence[object]) -> float:
    return round(statistics.fmean(a == b for a, b in zip(one, other, strict=True)), 4)


def _compared(
    one: tuple[str, str], backbones: dict[tuple[str, str], Backbone], images: torch.Tensor
) -> dict[str, Any]:
    backbone, usual = backbones[one], backbones[_REFERENCE]
    result: dict[str, Any] = {
        "engine": "/".join(one),
        "same fingerprint": backbone.fingerprint == usual.fingerprint,
        "largest relative difference": _difference(backbone.embed(images), usual.embed(images)),
    }
    for count in (1, len(images)):
        jobs = (partial(one.embed, images[:count]) for one in (backbone, usual))
        result[f"CPU seconds / torch fp32, {count} images"] = _ratio(*jobs)
    return result


def _difference(found: Latents, wanted: Latents) -> float:
    pairs = ((found.last, wanted.last), (found.multi, wanted.multi))
    return float(f"{max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs):.2g}")


def _ratio(job: Callable[[], object], usual: Callable[[], object]) -> float:
    """Return the median ratio of the processor time of two jobs that run in turns."""
    job()
    return round(statistics.median(cpu_seconds(job) / cpu_seconds(usual) for _ in range(ROUNDS)), 3)


def cpu_seconds(job: Callable[[], object]) -> float:
    """Return the processor time of a job, which other processes disturb less than its duration."""
    started_s = time.process_time()
    job()
    return time.process_time() - started_s


def _pixels(tasks: Sequence[SmallTask], backbone: Backbone) -> torch.Tensor:
    asked = [ImageInput("", image) for task in tasks for image in task.test[0]][:BATCH_SIZE]
    return read_batch(asked, range(len(asked)), backbone.size).images


def _some(task: Task, split: Split, n_images: int, side: int) -> tuple[list[np.ndarray], list[str]]:
    order = np.random.default_rng(0).permutation(len(split.images))
    turns: dict[int, int] = {}
    ranks = {}
    for i in order.tolist():
        label = int(split.labels[i])
        ranks[i] = turns[label] = turns.get(label, 0) + 1
    chosen = sorted(order.tolist(), key=lambda i: ranks[i])[:n_images]
    pixels = [np.array(split.images[i].upright(side)).repeat(1, axis=2) for i in chosen]
    images = [np.repeat(one, 3, axis=2) if one.shape[2] == 1 else one for one in pixels]
    return images, [task.classes[int(split.labels[i])] for i in chosen]


def main() -> None:
    """Read the tasks and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tasks", nargs="+", type=Path, help="folders or archives of tasks")
    parser.add_argument("--images", type=int, default=40, help="images per task and split")
    parser.add_argument("--emulate", action="store_true", help="compute bf16 without instructions")
    parser.add_argument("--backbone", help="backbone of --home; default: the embedded one")
    parser.add_argument("--home", type=Path, help="home with the backbone; default: the user's")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if options.emulate:
        flags = Path(tempfile.gettempdir()) / f"teachmesh-flags-{os.getpid()}"
        flags.write_text("flags: avx512_bf16")
        number_type.CPU_FLAGS = flags
    engines = [_REFERENCE]
    engines += [("openvino", "fp32")] if find_spec("openvino") else []
    if number_type.has_bf16(torch.device("cpu")):
        engines += [("torch", "bf16")]
        # OpenVINO computes in float32 where the processor has no bf16.
        engines += [("openvino", "bf16")] if find_spec("openvino") and not options.emulate else []
    tasks = [SmallTask.of(read_task(path), options.images, 192) for path in options.tasks]
    document = run(tasks, engines, options.backbone, options.home)
    if options.json:
        print(json.dumps(document))
        return
    for row in [*document["engines"], *document["answers"]]:
        print(", ".join(f"{key}: {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
