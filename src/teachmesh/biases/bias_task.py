"""What the biases of one task are learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from teachmesh.biases.task_images import TaskImages
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.head import Head


@dataclass(frozen=True, eq=False)
class BiasTask:
    """What biases are learned from.

    Attributes:
        backbone: the frozen network.
        method: of the skill.
        images: of both splits.
        train_labels: (N,) int64.
        validation_labels: (V,) int64, V at least 1.
        start: head on latents without biases that training begins with.
        without: (V, C) log posteriors of the validation images without biases, given the task.
        before_macs: multiply-accumulates that learning has spent already.
        seed: of what is random.
    """

    backbone: Backbone
    method: str
    images: TaskImages
    train_labels: np.ndarray
    validation_labels: np.ndarray
    start: Head
    without: np.ndarray
    before_macs: int
    seed: int = 0

    @property
    def base(self) -> str:
        """Latents that the head reads while biases are trained."""
        return base_of(self.method)


def base_of(method: str) -> str:
    """Latents that the head reads while the biases of a method are trained.

    Args:
        method: the task mapper.

    Returns:
        "multi", the multi-depth ones, or "last", those of the last layer as in the paper.
    """
    return "multi" if method == "moments" else "last"
