"""Accuracies of an agent on the test images of one task."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent.answers.second_passes import second_passes
from teachmesh.data.loader import named_failure
from teachmesh.data.names import comparison_key, shown
from teachmesh.data.pixel_digests import digest_labelled
from teachmesh.data.read_labelled import read_labelled
from teachmesh.errors import DataError, UsageError
from teachmesh.mapping.accuracies import choose
from teachmesh.model.embedding import Embedded, embed_images, labelled

if TYPE_CHECKING:
    from teachmesh.agent.answers.answering import AnsweringAgent
    from teachmesh.agent.known_skills.catalogue import SkillInfo
    from teachmesh.data.images import ImageRef
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.data.loader import Progress
    from teachmesh.data.tasks import Task
    from teachmesh.model.embedding import LabelledLatents


@dataclass(frozen=True)
class Evaluation:
    """Accuracies on test images of one task, as fractions of 1.

    Attributes:
        task: display name of the task.
        skill_id: id of the skill of this task.
        n_images: number of images that were read.
        mapper: fraction of images for which the task mapper chooses the right task.
        oracle: fraction of images with the right class if the task is given.
        final: fraction with the right task and class; the mapper chooses the task, as in `predict`.
        direct: fraction with the right task and class; the best of all classes is chosen. None if
            the mapper does not score classes.
        confusion: number of images by right class and by answered class of the task. Images that
            were mapped to other tasks are left out.
        skipped: one sentence per unreadable image.
        shared: number of test images that were left out, because images with the same pixels train
            or validate.
    """

    task: str
    skill_id: str
    n_images: int
    mapper: float
    oracle: float
    final: float
    direct: float | None
    confusion: dict[str, dict[str, int]]
    skipped: tuple[str, ...] = ()
    shared: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the accuracies as a JSON object."""
        return {**asdict(self), "skipped": list(self.skipped)}


def evaluate_task(
    agent: AnsweringAgent,
    data: TaskData,
    *,
    task: str | None = None,
    images: str = "test",
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Classify labelled images with all skills of an agent, and count the right answers.

    Args:
        agent: the agent.
        data: labelled images, as for `Agent.learn`.
        task: name of the learned task; by default the name of the folder.
        images: "test" for the test images of the data, "all" if learning saw none of them.
        seed: seed of the split, as in `Agent.learn`, if the data has no splits.
        progress: called with (images done, images in total).

    Raises:
        DataError: no skill has the name, its classes differ, or no image can be used.
        UsageError: an argument is invalid.
    """
    if images not in ("test", "all"):
        raise UsageError(f"expected images to be 'test' or 'all', got {images!r:.60}")
    is_path = isinstance(data, str | os.PathLike)
    if task is None and not is_path:
        raise UsageError('expected the name of the learned task, such as task="screws"')
    share = (0.0, 0.0) if images == "all" else None
    found = read_labelled(data, name=None if is_path else "images", seed=seed, split=share)
    info = agent.find(task or found.name)
    split = found.train if images == "all" else found.test
    if not len(split):
        raise DataError(
            f"expected test images for {shown(info.task)!r}, got none; use images='all' for images "
            "that were not learned"
        )
    embedded = embed_images(agent.backbone, split.images, progress=progress)
    skipped = tuple(named_failure(str(split.images[i]), why) for i, why in embedded.failed)
    if not len(embedded.kept):
        raise DataError(skipped[0])
    n_readable = len(embedded.kept)
    if images == "test":
        embedded = _without_learned(embedded, found, agent.backbone.size)
    kept = [split.images[int(i)] for i in embedded.kept]
    with agent.lock:
        scored = _scored(agent, info, found, labelled(split, embedded), kept, skipped)
    return replace(scored, shared=n_readable - len(kept))


def _without_learned(embedded: Embedded, task: Task, size: int) -> Embedded:
    """Leave out test images with the pixels of an image that trains or validates.

    Raises:
        DataError: no image is left.
    """
    learned = (digest_labelled(split, size).digests for split in (task.train, task.validation))
    return embedded.without(learned)


def _scored(
    agent: AnsweringAgent,
    info: SkillInfo,
    task: Task,
    test: LabelledLatents,
    images: list[ImageRef],
    skipped: tuple[str, ...],
) -> Evaluation:
    student = agent.sync()
    position = student.skill_ids.index(agent.usable_id(info))
    learned = student.skill(info.id).card.classes
    labels = _labels_in(learned, task.classes)[test.labels]
    decisions = student.decide(test.latents)
    given = second_passes(agent, decisions, images)
    choices = choose(decisions, np.full(len(labels), position), given)
    right = choices.score(position, labels)
    mapped = choices.mapped == position
    return Evaluation(
        task=info.display_name,
        skill_id=info.id,
        n_images=len(labels),
        mapper=right.mapper,
        oracle=right.oracle,
        final=right.final,
        direct=right.direct,
        confusion=_confusion(learned, labels[mapped], choices.final[mapped]),
        skipped=(*task.unreadable, *skipped),
    )


def _labels_in(learned: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray:
    """Return the position of each given class among the learned classes."""
    places = {comparison_key(name): place for place, name in enumerate(learned)}
    missing = [name for name in classes if comparison_key(name) not in places]
    if missing:
        raise DataError(
            f"expected classes of the learned task, got '{shown(missing[0])}'; learn it first, or "
            "leave its images out"
        )
    return np.array([places[comparison_key(name)] for name in classes], dtype=np.int64)


def _confusion(
    classes: tuple[str, ...], labels: np.ndarray, answers: np.ndarray
) -> dict[str, dict[str, int]]:
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (labels, answers), 1)
    return {
        name: {other: int(n) for other, n in zip(classes, row, strict=True) if n}
        for name, row in zip(classes, counts, strict=True)
    }
