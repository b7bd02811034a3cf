"""The tasks of SKILL-102: names and sizes, as facts that come with the package (paper, Sec. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

MAX_CLASSES = 500
"""Classes of a task that are used; with it the 102 tasks have the paper's 5,033 classes."""
MAX_TRAIN = 54_000
MAX_TEST = 6_000
"""Images of validation and of test that are used."""


@dataclass(frozen=True)
class ManifestTask:
    """One task of the manifest.

    Attributes:
        name: folder of the task.
        classes: as published; `used_classes` are learned.
        train: training images.
        validation: validation images.
        test: test images.
        extra: not one of the 102 of the paper; its code learns it all the same.
    """

    name: str
    classes: int
    train: int
    validation: int
    test: int
    extra: bool

    @property
    def used_classes(self) -> int:
        """Classes that are learned, at most `MAX_CLASSES`."""
        return min(self.classes, MAX_CLASSES)


@lru_cache(maxsize=1)
def all_tasks() -> tuple[ManifestTask, ...]:
    """The 102 tasks of the paper in its order, then the five extras of its code."""
    text = (resources.files("teachmesh_lab.streams") / "skill102.tsv").read_text("utf-8")
    tasks = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *numbers = line.split("\t")
        classes, train, validation, test = (int(number) for number in numbers[:4])
        tasks.append(ManifestTask(name, classes, train, validation, test, "extra" in numbers))
    return tuple(tasks)


def skill102() -> tuple[ManifestTask, ...]:
    """The 102 tasks of the paper, in its order.

    Examples:
        >>> tasks = skill102()
        >>> len(tasks), sum(task.used_classes for task in tasks)
        (102, 5033)
    """
    return tuple(task for task in all_tasks() if not task.extra)
