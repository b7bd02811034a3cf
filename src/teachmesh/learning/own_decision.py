"""What one task's own skill decides, given the task: for validation, and to begin biases with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from teachmesh.biases.bias_refit import ridge_head
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.moments import MomentsAnchor, MomentsMapper
from teachmesh.model.head import Head

if TYPE_CHECKING:
    from teachmesh.learning.fit_method import Fitted
    from teachmesh.model.backbone import Latents
    from teachmesh.model.embedding import LabelledLatents

START_RIDGE = 3.0
"""Penalty of the head that biases begin with. The log loss on the validation images of two tasks
(trash, oracle bones) with biases is then 0.674 and 0.485; with a penalty of 1, 0.697 and 0.475."""


def log_within(fitted: Fitted, method: str, latents: Latents) -> np.ndarray:
    """Log posteriors (N, C) of the classes, by this task's skill alone.

    Args:
        fitted: of the task.
        method: the one that decides.
        latents: of N images, at least one.
    """
    if method == "moments":
        mapper = MomentsMapper()
        mapper.add("task", fitted.anchors[method])
        scores = mapper.score(latents.multi)
        assert scores.classes is not None
        return log_softmax(scores.classes[0])
    assert fitted.head is not None
    return log_softmax(fitted.head.logits(latents.last))


def linear_within(anchor: MomentsAnchor) -> Head:
    """What class moments alone decide inside their task, as one linear head: exactly `log_within`.

    Classes of a task share a covariance, so the squares of an image drop out of its posteriors.

    Args:
        anchor: of the task.
    """
    mapper = MomentsMapper()
    mapper.add("task", anchor)
    origin = np.zeros((1, anchor.dim), dtype=np.float32)
    units = np.eye(anchor.dim, dtype=np.float32)
    scores = mapper.score(np.concatenate([origin, units])).classes
    assert scores is not None
    centred = scores[0] - scores[0].mean(axis=1, keepdims=True)  # (1 + D, C)
    weight = (centred[1:] - centred[0]).T
    return Head(weight.astype(np.float32), centred[0].astype(np.float32))


def start_head(fitted: Fitted, method: str, train: LabelledLatents) -> Head:
    """The linear head that training with biases begins with, in the unit of log posteriors.

    A trained head as it is. With `moments` a closed-form one, more timid than the skill's: where
    the head knows the training images by heart already, biases have nothing to learn from.

    Args:
        fitted: of the task.
        method: of the skill.
        train: latents and labels of the training images.
    """
    if method != "moments" and fitted.head is not None:
        return fitted.head
    n_classes = fitted.anchors[method].n_classes
    return ridge_head(train.latents.multi, train.labels, n_classes, START_RIDGE)
