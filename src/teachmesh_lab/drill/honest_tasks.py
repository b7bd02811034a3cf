"""Honest tasks of a drill: a skill per task, each by another author, and its test images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.data.tasks import Task, find_tasks, read_task
from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents, labelled
from teachmesh.packet.signing import AgentKey, VerifiedSkill, sign
from teachmesh_lab.evaluation.latent_cache import LatentCache, embed_parts

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.mapping.packed_moments import Packing

CREATED = "2026-01-01T00:00:00Z"
"""Time of creation on the cards of honest skills, constant so that reruns give equal skills."""
Log = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class HonestTask:
    """One honest task.

    Attributes:
        skill: its skill, signed by its author.
        key: key of the author.
        test: latents and labels of its test images.
        photos: (N, D) points of its validation images in the metric's space, and (N,) labels; an
            attacker may own such photographs.
    """

    skill: VerifiedSkill
    key: AgentKey
    test: LabelledLatents
    photos: tuple[np.ndarray, np.ndarray]

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.skill.skill.card.task

    @property
    def anchor(self) -> MomentsAnchor:
        """Class moments of the skill."""
        anchor = self.skill.skill.anchor("moments")
        assert isinstance(anchor, MomentsAnchor)
        return anchor

    def means(self) -> np.ndarray:
        """Return (C, D) float64 class means in the metric's space."""
        return self.anchor.class_means()


def author_key(name: str) -> AgentKey:
    """Return the key of an author of a drill, always the same for a name."""
    return AgentKey(hashlib.sha256(f"teachmesh drill: {name}".encode()).digest())


def learn_honest_tasks(
    agent: Agent,
    folder: Path,
    seed: int,
    most_images: int | None,
    log: Log,
    packing: Packing | None = None,
) -> list[HonestTask]:
    """Learn all tasks of a folder. Latents are kept in the cache of the agent's home.

    Args:
        agent: agent whose backbone is used; its bank is not changed.
        folder: folder with one folder or archive per task.
        seed: seed for splits.
        most_images: number of test images per task, at most; None for all.
        log: function that shows progress.
        packing: way to write the class moments of the skills; None for full size.

    Raises:
        DataError: a task cannot be read.
    """
    paths = find_tasks(folder)
    found = []
    for number, path in enumerate(paths, start=1):
        found.append(_learn(agent, read_task(path, seed=seed), seed, most_images, packing))
        log(f"learned {number} of {len(paths)}: {found[-1].name}")
    return found


def _learn(
    agent: Agent, task: Task, seed: int, most_images: int | None, packing: Packing | None
) -> HonestTask:
    found = embed_parts(agent.backbone, task, LatentCache(agent.home.cache / "latents"))
    train, validation, test = map(labelled, (task.train, task.validation, task.test), found)
    key = author_key(task.name)
    lesson = Lesson.of(
        task,
        agent.variant,
        created=CREATED,
        seed=seed,
        warnings=task.warnings,
        packing=packing,
    )
    author = Author(key.public_key, f"author of {task.name}"[:64])
    teacher = Teacher(agent.backbone, author, None)
    skill = teacher.teach(lesson, EmbeddedTask(train, validation, None))
    photos = agent.metric().apply(validation.latents.multi), validation.labels
    return HonestTask(sign(skill, key), key, _spread(test, most_images), photos)


def _spread(test: LabelledLatents, most: int | None) -> LabelledLatents:
    """Return at most this many images, spread over all."""
    step = 1 if most is None else -(-len(test) // most)
    rows = slice(None, None, step)
    latents = Latents(test.latents.last[rows], test.latents.multi[rows])
    return LabelledLatents(latents, test.labels[rows])
