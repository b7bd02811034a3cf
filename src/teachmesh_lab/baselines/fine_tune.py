"""`fine-tune`: every task is learned after the other, and nothing is done against forgetting.

The lower bound: what a regulariser of strength 0 is.
"""

from __future__ import annotations

from typing import ClassVar, final

from teachmesh_lab.baselines.baseline import Baseline


@final
class FineTune(Baseline):
    """Sequential training with cross-entropy alone."""

    source: ClassVar[str] = "no measure against forgetting: the lower bound"
