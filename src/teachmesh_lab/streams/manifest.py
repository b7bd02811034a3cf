"""Names and sizes of the SKILL-102 tasks (paper, Sec. 4); the list is part of the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

MAX_CLASSES = 500
"""Maximum number of classes per task; the 102 tasks then have 5,033 classes, as in the paper."""
MAX_TRAIN = 54_000
MAX_TEST = 6_000
"""Maximum number of validation images per task; the same maximum applies to test images."""


@dataclass(frozen=True)
class ManifestTask:
    """One task of the manifest.

    Attributes:
        name: name of the task and of its folder.
        classes: number of classes in the data set; only `used_classes` of them are learned.
        train: number of training images.
        validation: number of validation images.
        test: number of test images.
        extra: whether the task is in the paper's code but not among the paper's 102 tasks.
    """

    name: str
    classes: int
    train: int
    validation: int
    test: int
    extra: bool

    @property
    def used_classes(self) -> int:
        """Number of classes to learn, at most `MAX_CLASSES`."""
        return min(self.classes, MAX_CLASSES)


@lru_cache(maxsize=1)
def all_tasks() -> tuple[ManifestTask, ...]:
    """Return the paper's 102 tasks in the paper's order, then the five extra tasks of its code."""
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
    """Return the paper's 102 tasks, in the paper's order.

    Examples:
        >>> tasks = skill102()
        >>> len(tasks), sum(task.used_classes for task in tasks)
        (102, 5033)
    """
    return tuple(task for task in all_tasks() if not task.extra)
