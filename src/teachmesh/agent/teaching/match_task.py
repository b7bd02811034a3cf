"""Match the classes of a folder with the bank before learning (`teachmesh match`)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from teachmesh.data.loader import Progress, named_failure
from teachmesh.data.read_labelled import read_labelled
from teachmesh.data.tasks import check_task_failed
from teachmesh.learning.embedded_task import check_readable
from teachmesh.learning.variants import find_variant
from teachmesh.model.embedding import embed_images, labelled
from teachmesh.reuse.matching import check_mode
from teachmesh.reuse.transfer import preview_transfer

if TYPE_CHECKING:
    from teachmesh.agent.teaching.learning_agent import LearningAgent
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.data.tasks import Task
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.reuse.source_skills import MatchReport


def match_folder(
    agent: LearningAgent,
    data: TaskData,
    *,
    name: str | None = None,
    mode: str = "auto",
    encoder: str = "auto",
    method: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> MatchReport:
    """Match the classes of a task with an agent's bank, and preview the transfer.

    Args:
        agent: owner of the bank, which is not modified.
        data: the task: a folder, archive or CSV file, or labelled images, as for `Agent.learn`.
        name: name of the task; by default the folder's name.
        mode: "text" (names only, no image is opened), "vision" (images only) or "auto" (both).
        encoder: text encoder that compares class names, see `reuse.text_encoders.choose_encoder`.
        method: variant for the preview, as for `learn`; by default the agent's.
        seed: seed for the split, if the folder does not define a split.
        progress: called with (images done, images in total).

    Raises:
        DataError: the images or labels cannot be used, or a class has no readable image.
        UsageError: the mode, encoder or method is unknown.
        MissingExtraError: the requested encoder is not installed.
    """
    method = agent.method if method is None else find_variant(method).method
    task = read_labelled(data, name=name, seed=seed)
    check_mode(mode)
    sources = agent.source_skills(task, mode, encoder)
    assert sources.skills is not None
    if mode == "text" or not sources.skills.sources:
        report = sources.skills.match(task.name, task.classes, None)
        return dataclasses.replace(report, skipped=task.skipped, skipped_reasons=task.unreadable)
    train, failed = _shots(agent, task, progress)
    match = sources.match(train)
    assert match.report is not None
    assert match.prior is not None
    return dataclasses.replace(
        match.report,
        preview=preview_transfer(method, train, len(task.classes), match.prior),
        skipped=task.skipped + len(failed),
        skipped_reasons=(*task.unreadable, *failed),
    )


def _shots(
    agent: LearningAgent, task: Task, progress: Progress | None
) -> tuple[LabelledLatents, tuple[str, ...]]:
    """Return latents of the training images, and one sentence for each unreadable image.

    Raises:
        DataError: a class has no readable image, or too many images are unreadable.
    """
    images = task.train.images
    embedded = embed_images(agent.backbone, images, progress=progress)
    failed = tuple(named_failure(str(images[i]), why) for i, why in embedded.failed)
    check_task_failed(task, failed, len(images))
    train = labelled(task.train, embedded)
    check_readable(task.classes, train.labels, failed)
    return train, failed
