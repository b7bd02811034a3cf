"""Streams of tasks: all tasks of a stream come from one source, in the order of learning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachmesh.data.tasks import Task, find_tasks, read_task, task_name
from teachmesh.errors import DataError, UsageError

BUILTIN = "builtin"
ORDERS = ("given", "shuffled")


NAMED = ("torchvision", "hf", "skill-102")
"""Kinds of sources written with a colon; other sources are the built-in stream or a folder."""


@dataclass(frozen=True)
class StreamSpec:
    """Source, selection and order of tasks.

    Attributes:
        source: "builtin", a folder of tasks, "torchvision:A,B", "hf:user/name,...", or
            "skill-102:ROOT" ("skill-102:hub" downloads SKILL-102).
        only: names of the tasks to use; all by default.
        limit: number of tasks to use, from the first in the source's order; all by default.
        order: "given" for the source's order, or "shuffled" for a random order. All seeds learn the
            same tasks.
        root: folder for downloads from torchvision and the hub; by default a folder in the cache.
        per_class: number of images to keep per class and split; applies only to data sets from
            torchvision and the hub.

    Raises:
        UsageError: the order is unknown, or `limit` or `per_class` is below 1.
    """

    source: str = BUILTIN
    only: tuple[str, ...] = ()
    limit: int | None = None
    order: str = "given"
    root: str | None = None
    per_class: int | None = None

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"expected the order 'given' or 'shuffled', got {self.order!r}")
        for name, value in (("limit", self.limit), ("per_class", self.per_class)):
            if value is not None and value < 1:
                raise UsageError(f"expected {name!r} of at least 1, got {value}")


@dataclass(frozen=True)
class Stream:
    """Tasks to learn one after another.

    Attributes:
        name: name of the tasks' source, for display.
        paths: one path per task for `read_task`, in the order of learning.
        seed: seed for splitting the tasks that have no splits.
    """

    name: str
    paths: tuple[Path, ...]
    seed: int

    def tasks(self) -> list[Task]:
        """Read all tasks without decoding images.

        Raises:
            DataError: a task cannot be read or has no test images.
        """
        tasks = [read_task(path, seed=self.seed) for path in self.paths]
        without = [task.name for task in tasks if not task.test.images]
        if without:
            raise DataError(
                f"expected test images in every task, found none in {', '.join(without[:3])}; "
                "add a test folder, or leave train/ out and one is split off"
            )
        return tasks


def source_kind(source: str) -> tuple[str, str]:
    """Return the kind of a source and the text after its colon.

    Examples:
        >>> source_kind("hf:someone/pets"), source_kind("builtin"), source_kind("hf")
        (('hf', 'someone/pets'), ('builtin', ''), ('folder', 'hf'))
    """
    kind, colon, rest = source.partition(":")
    if colon and kind in NAMED:
        return kind, rest
    return (BUILTIN, "") if source == BUILTIN else ("folder", source)


def source_name(source: str) -> str:
    """Return the name of a source for display; for a folder, its name without the path.

    Examples:
        >>> source_name("/data/birds/"), source_name("skill-102:/data/SKILL")
        ('birds', 'skill-102')
    """
    kind, rest = source_kind(source)
    return kind if kind != "folder" else Path(rest).expanduser().resolve().name or rest


def open_stream(spec: StreamSpec, seed: int, cache: Path) -> Stream:
    """Find or create the tasks of a stream.

    Args:
        spec: source, selection and order.
        seed: seed for drawn images, for splits, and for a shuffled order.
        cache: folder for written and downloaded files.

    Raises:
        UsageError: the source must name at least one data set but names none.
        DataError: a task or data set is missing or cannot be used.
        MissingExtraError: a package is not installed.
    """
    paths = _find(spec, seed, cache)
    wanted = chosen([task_name(path) for path in paths], spec, seed)
    return Stream(spec.source, tuple(paths[i] for i in wanted), seed)


def chosen(names: Sequence[str], spec: StreamSpec, seed: int) -> list[int]:
    """Return the positions of the selected tasks, in the order of learning.

    Args:
        names: names of all tasks of the source.
        spec: selection and order.
        seed: seed for a shuffled order.

    Raises:
        DataError: a selected task does not exist.
    """
    for name in spec.only:
        if name not in names:
            raise DataError(f"the stream has no task {name!r}; it has {', '.join(names)}"[:300])
    wanted = [i for i, name in enumerate(names) if not spec.only or name in spec.only]
    wanted = wanted[: spec.limit]
    if spec.order == "shuffled":
        wanted = [wanted[i] for i in np.random.default_rng(seed).permutation(len(wanted))]
    return wanted


def stream_digest(tasks: Sequence[Task]) -> str:
    """Hash the names, classes, labels and file sizes of a stream, to detect changes.

    No image is read, so that a large stream can be hashed quickly.
    """
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(f"{task.name}\0{task.split_seed}\0{task.classes!r}".encode())
        for split in (task.train, task.validation, task.test):
            sizes = [
                ref.path.stat().st_size if ref.size_bytes is None else ref.size_bytes
                for ref in split.images
            ]
            digest.update(np.asarray(sizes, dtype="<i8").tobytes())
            digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _find(spec: StreamSpec, seed: int, cache: Path) -> list[Path]:
    kind, rest = source_kind(spec.source)
    root = Path(spec.root).expanduser() if spec.root else cache / "downloads"
    if kind == BUILTIN:
        from teachmesh_lab.streams.builtin_stream import write_builtin

        return write_builtin(cache, seed)
    if kind == "torchvision":
        from teachmesh_lab.streams.vision_sets import vision_task

        return [
            vision_task(name, root, cache / "torchvision", per_class=spec.per_class)
            for name in _names(rest)
        ]
    if kind == "hf":
        from teachmesh_lab.streams.hub_stream import hub_task

        return [
            hub_task(repo, root, cache / "hub", per_class=spec.per_class) for repo in _names(rest)
        ]
    if kind == "skill-102":
        from teachmesh_lab.streams.skill102 import fetch_hub_copy, skill102_tasks

        folder = fetch_hub_copy(root) if rest == "hub" else Path(rest).expanduser()
        return skill102_tasks(folder, cache)
    return find_tasks(spec.source)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("expected names of data sets after the colon, got none")
    return names
