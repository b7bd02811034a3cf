"""Recognise a task whose images this agent has learned already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.data.loader import iterate_batches
from teachmesh.data.pixel_digests import pixel_digests
from teachmesh.data.tasks import read_task, task_name
from teachmesh.errors import DataError, SkillRefused, StorageError

if TYPE_CHECKING:
    from teachmesh.agent.teaching.learning_agent import LearningAgent
    from teachmesh.data.tasks import Split
    from teachmesh.learning.task_statistics import TaskStatistics


def known_skill(agent: LearningAgent, path: Path, seed: int) -> str | None:
    """Return the id of this agent's skill that was learned from all images of a task.

    The pixels are compared with the private statistics of the task. A task that grew since is
    known, too.

    Args:
        agent: the agent.
        path: folder, archive or CSV file of the task.
        seed: seed of the split, as for `learn`.

    Returns:
        The id; None if an image is new, or if no statistics of the task are kept.

    Raises:
        DataError: the images cannot be read.
    """
    name, author = task_name(path), agent.key.public_key
    own = [e for e in agent.bank.active() if (e.author, e.task) == (author, name)]
    if not own:
        return None
    try:
        statistics = agent.statistics.load(agent.bank.load(own[0].id).skill)
    except (DataError, SkillRefused, StorageError):
        return None
    task, known = read_task(path, seed=seed), _known_images(statistics)
    size = agent.backbone.size
    new = (_has_new(split, task.classes, known, size) for split in (task.train, task.validation))
    return None if any(new) else own[0].id


def _known_images(statistics: TaskStatistics) -> set[tuple[str, bytes]]:
    """Return class and hash of the pixels of all learned images."""
    index, edges = statistics.index, statistics.edges.images
    labels = np.concatenate([index.labels, edges.labels]).tolist()
    digests = np.concatenate([index.digests, edges.digests]).tolist()
    names = (statistics.classes[label] for label in labels)
    return set(zip(names, digests, strict=True))


def _has_new(
    split: Split, classes: tuple[str, ...], known: set[tuple[str, bytes]], size: int
) -> bool:
    for batch in iterate_batches(split.images, size):
        labels = split.labels[batch.indices].tolist()
        pairs = zip((classes[label] for label in labels), pixel_digests(batch.images), strict=True)
        if any((name, bytes(digest)) not in known for name, digest in pairs):
            return True
    return False
