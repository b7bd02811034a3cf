"""What the mesh knows of a folder's classes, before it is learned: what `skillmesh match` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skillmesh.agent.knowledge import Knowledge, MatchReport
from skillmesh.data.tasks import check_failed, read_task
from skillmesh.errors import UsageError
from skillmesh.training.embedding import embed_images, labelled
from skillmesh.training.savings import saving
from skillmesh.training.variants import find_variant

if TYPE_CHECKING:
    from skillmesh.agent.agent import Agent

Progress = Callable[[int, int], None]


def match_folder(
    agent: Agent,
    path: str | Path,
    *,
    name: str | None = None,
    mode: str = "auto",
    encoder: str = "auto",
    method: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> MatchReport:
    """Say what an agent's bank knows of the classes of a task that it did not learn.

    Args:
        agent: whose bank it is; nothing is changed.
        path: folder, archive or CSV of the task.
        name: name of the task; default the folder's.
        mode: "text" for names alone (no image is opened), "vision" for looks alone, "auto" for
            both.
        encoder: how class names are compared, see `reuse.text.choose_encoder`.
        method: a variant, as of `learn`: what it would take is tried; default the agent's.
        seed: of the split, where the folder has none.
        progress: called with (images done, images in all).

    Raises:
        DataError: the images or labels cannot be used.
        UsageError: an unknown mode, encoder or method.
        MissingExtraError: the encoder that was asked for is not installed.
    """
    method = agent.method if method is None else find_variant(method).method
    task = read_task(path, name=name, seed=seed)
    knowledge = Knowledge.of(agent.sources, mode, encoder)
    if knowledge is None:
        raise UsageError("expected a way to match, got none")
    train = None
    if mode != "text" and knowledge.covariance() is not None:
        embedded = embed_images(agent.backbone, task.train.images, progress=progress)
        check_failed(len(embedded.failed) + task.skipped, len(task.train.images), task.name)
        train = labelled(task.train, embedded)
    report = knowledge.match(task.name, task.classes, train)
    if train is None or len(np.unique(train.labels)) < len(task.classes):
        return report  # without an image of every class nothing can be learned, nor tried
    kin = knowledge.kin_of(report, train)
    found = saving(method, train, len(task.classes), kin)
    return dataclasses.replace(report, saving=found)
