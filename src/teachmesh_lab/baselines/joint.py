"""`joint`: all tasks are learned at once, from all images.

This is the upper bound for one network with one head per task (multi-task learning, paper Fig. 1a).
It keeps past images, which lifelong learning forbids. Every batch is drawn from the images of all
tasks, and each image is classified by its own task's head. Learning happens once, so only the
accuracy matrix's last row is set.

References:
    Caruana, Multitask Learning, Machine Learning 28, 1997.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor

from teachmesh_lab.baselines.baseline import Baseline, BatchPart
from teachmesh_lab.baselines.multihead import mixed_loss


@final
class Joint(Baseline):
    """Cross-entropy on batches that mix the images of all tasks."""

    source: ClassVar[str] = "Caruana 1997; all images at once: the upper bound"
    together: ClassVar[bool] = True

    def batch_loss(self, parts: Sequence[BatchPart]) -> Tensor:
        """Return the mean cross-entropy, with each image under its own task's head."""
        found = [(index, self.data[index], rows) for index, rows in parts]
        return mixed_loss(self.net, [(i, d.images[rows], d.labels[rows]) for i, d, rows in found])
