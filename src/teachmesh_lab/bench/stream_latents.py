"""Latents of a stream: every image passes through the backbone once, and the time is recorded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.bank.output_file import write_file
from teachmesh.biases.bias_task import readable
from teachmesh.model.embedding import BATCH_SIZE, embed_images, labelled
from teachmesh_lab.bench.cell import load_json
from teachmesh_lab.evaluation.latent_cache import embed_parts, embed_split

if TYPE_CHECKING:
    from teachmesh.data.images import ImageRef
    from teachmesh.data.tasks import Task
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh_lab.evaluation.latent_cache import LatentCache

_SAMPLE, _ENOUGH_S = 64, 2.0
"""If a task's latents are already in the cache, up to 64 images or two seconds are timed."""


@dataclass(frozen=True, eq=False)
class PartImages:
    """Readable images of a task, in the order of their latents.

    Attributes:
        train: images of the training part.
        validation: images of the validation part.
        test: images of the test part.
    """

    train: Sequence[ImageRef]
    validation: Sequence[ImageRef]
    test: Sequence[ImageRef]


@dataclass(frozen=True, eq=False)
class TaskLatents:
    """Latents and labels of the three parts of a task.

    Attributes:
        name: name of the task.
        classes: names of the classes in the order of the labels.
        train: training part, for fitting.
        validation: validation part, for model selection and calibration.
        test: test part, for evaluation.
        images: the readable images, for methods that need a second backbone pass.
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledLatents
    validation: LabelledLatents
    test: LabelledLatents
    images: PartImages


def task_latents(backbone: Backbone, task: Task, cache: LatentCache) -> TaskLatents:
    """Return the latents of all images of a task, from the cache if they are there.

    Test images with the pixels of a training or validation image are left out.

    Raises:
        DataError: more than a fifth of the images cannot be read.
    """
    splits = (task.train, task.validation, task.test)
    pairs = list(zip(splits, embed_parts(backbone, task, cache), strict=True))
    train, validation, test = (labelled(split, embedded) for split, embedded in pairs)
    images = PartImages(*(readable(split.images, embedded) for split, embedded in pairs))
    return TaskLatents(task.name, task.classes, train, validation, test, images)


def embed_task(backbone: Backbone, task: Task, cache: LatentCache, record: Path) -> None:
    """Cache a task's latents; record how long its training and validation images took to embed.

    Args:
        backbone: the frozen network.
        task: task whose images are embedded.
        cache: cache of latents.
        record: file for the measured seconds; an existing file is not overwritten.
    """
    started_s = time.perf_counter()
    parts = (task.train, task.validation)
    from_cache = [embed_split(backbone, task, split, cache).from_cache for split in parts]
    spent_s = time.perf_counter() - started_s
    embed_split(backbone, task, task.test, cache)
    if record.exists():
        return
    images = len(task.train) + len(task.validation)
    timed = images
    if any(from_cache):
        timed, sample_s = _time_sample(backbone, task)
        spent_s = images * sample_s / timed
    record.parent.mkdir(parents=True, exist_ok=True)
    text = f'{{"task_images": {images}, "embed_s": {spent_s:.4f}, "timed_images": {timed}}}\n'
    write_file(record, text.encode())


def embedding_seconds(records: Sequence[Path]) -> list[float]:
    """Return the seconds that each task's training and validation images took to embed.

    Raises:
        StorageError: a record is missing or damaged.
    """
    return [float(load_json(record)["embed_s"]) for record in records]


def _time_sample(backbone: Backbone, task: Task) -> tuple[int, float]:
    """Embed a few training images again; return their number and the seconds that they took."""
    images = task.train.images[:_SAMPLE]
    embed_images(backbone, images[:1])  # warm up: the first pass in a process is slower
    step = BATCH_SIZE if backbone.device.type == "cpu" else _SAMPLE
    started_s, done, spent_s = time.perf_counter(), 0, 0.0
    while done < len(images) and spent_s < _ENOUGH_S:
        chunk = images[done : done + step]
        embed_images(backbone, chunk)
        done, spent_s = done + len(chunk), time.perf_counter() - started_s
    return done, spent_s
