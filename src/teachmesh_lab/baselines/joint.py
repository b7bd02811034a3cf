"""`joint`: all tasks are learned at once, from all images.

This is the upper bound for one network with one head per task (multi-task learning, paper Fig. 1a).
It keeps past images, which lifelong learning forbids. Each batch holds images of one task, and
batches come in random order. Learning happens once, so only the accuracy matrix's last row is set.

References:
    Caruana, Multitask Learning, Machine Learning 28, 1997.
"""

from __future__ import annotations

from typing import ClassVar, final

from teachmesh_lab.baselines.baseline import Baseline


@final
class Joint(Baseline):
    """Cross-entropy on the batches of all tasks."""

    source: ClassVar[str] = "Caruana 1997; all images at once: the upper bound"
    together: ClassVar[bool] = True
