"""What an agent gathers before it learns a task: latents, images, and the skill to be replaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from teachmesh.biases.bias_task import TaskImages
from teachmesh.data.loader import Progress
from teachmesh.data.tasks import check_failed
from teachmesh.errors import UsageError
from teachmesh.model.embedding import embed_splits, labelled

if TYPE_CHECKING:
    from teachmesh.bank.store import Bank
    from teachmesh.data.tasks import Task
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.embedding import LabelledLatents


@dataclass(frozen=True, eq=False)
class Material:
    """A task's training and validation images after one backbone pass.

    Attributes:
        train: latents and labels.
        validation: likewise; may be empty.
        images: where the images of both are, row by row.
        failed: one sentence per image that could not be read.
    """

    train: LabelledLatents
    validation: LabelledLatents
    images: TaskImages
    failed: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)


def gather(backbone: Backbone, task: Task, progress: Progress | None = None) -> Material:
    """Training and validation images through the backbone; test images are not touched.

    Args:
        backbone: the frozen network.
        task: whose images.
        progress: called with (images done, images in all).

    Raises:
        DataError: too many images cannot be read.
    """
    splits = (task.train, task.validation)
    total = sum(len(split.images) for split in splits)
    train, validation = embed_splits(backbone, splits, progress=progress)
    failed = tuple(
        f"{split.images[i]}: {reason}"
        for split, part in zip(splits, (train, validation), strict=True)
        for i, reason in part.failed
    )
    check_failed(len(failed) + task.skipped, total + task.skipped, task.name)
    return Material(
        labelled(task.train, train),
        labelled(task.validation, validation),
        TaskImages.of((task.train, train), (task.validation, validation)),
        failed,
    )


def predecessor(
    bank: Bank, author: str, task: str, *, replace: bool, else_use: str = "--name"
) -> str | None:
    """Id of the author's own skill of a task, which a new one takes the place of.

    Args:
        bank: where it would be.
        author: public key.
        task: its name.
        replace: whether it may be replaced.
        else_use: what else a person can do, for the message.

    Raises:
        UsageError: there is one, and it may not.
    """
    mine = [e for e in bank.active() if e.author == author and e.task == task]
    if mine and not replace:
        raise UsageError(
            f"expected a task that this agent has not learned, but it learned {task!r} "
            f"already (skill {mine[0].id[:12]}); use --replace or {else_use}"
        )
    return mine[0].id if mine else None


def earlier_ids(bank: Bank, author: str, task: str) -> frozenset[str]:
    """Ids of all skills that an author made of a task, also of those that were replaced.

    They saw the images that the task is learned from again: to it they are no others.
    """
    return frozenset(e.id for e in bank.entries() if e.author == author and e.task == task)


def now() -> str:
    """The time as cards write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
