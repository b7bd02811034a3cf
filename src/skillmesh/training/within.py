"""What one task's own skill decides, given the task: for validation, and to begin biases with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skillmesh.mapping.fusion import log_softmax
from skillmesh.mapping.moments import HEAD_TEMPERATURE, MomentsAnchor, MomentsMapper
from skillmesh.mapping.quantise import dequantise_rows
from skillmesh.model.head import Head

if TYPE_CHECKING:
    from skillmesh.model.backbone import Latents
    from skillmesh.training.methods import Fitted


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


def linear_head(fitted: Fitted, method: str) -> Head:
    """The linear part of that decision, in the unit of log posteriors."""
    if fitted.head is not None and method != "moments":
        return fitted.head
    anchor = fitted.anchors[method]
    assert isinstance(anchor, MomentsAnchor)
    weight = dequantise_rows(anchor.head, anchor.head_scales) / HEAD_TEMPERATURE
    bias = anchor.head_bias / HEAD_TEMPERATURE
    return Head(weight.astype(np.float32), bias.astype(np.float32))
