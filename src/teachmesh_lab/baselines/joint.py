"""`joint`: all tasks are learned at once, from all images.

This is the upper bound for one network with one head per task (multi-task learning, paper Fig. 1a).
It breaks the rule of lifelong learning that past images are gone. Each batch holds images of one
task, in random order. Because it learns once, only the last row of its accuracy matrix exists.

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
