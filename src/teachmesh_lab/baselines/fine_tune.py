"""`fine-tune`: tasks are learned one after another, and nothing prevents forgetting.

This is the lower bound. Every regulariser with strength 0 gives the same result.
"""

from __future__ import annotations

from typing import ClassVar, final

from teachmesh_lab.baselines.baseline import Baseline


@final
class FineTune(Baseline):
    """Sequential training with cross-entropy alone."""

    source: ClassVar[str] = "no measure against forgetting: the lower bound"
