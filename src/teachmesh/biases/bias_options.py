"""Options of beneficial biases: which layers, which budget."""

from __future__ import annotations

import re
from dataclasses import dataclass

from teachmesh.errors import UsageError

BIAS_CHOICES = ("auto", "all", "half", "last:N", "none")
DEFAULT_PASSES = 8.0
"""Forward passes over the training and validation images that `auto` may spend in all."""
MOST_PASSES = 1e6
"""Far beyond what anybody waits for; a budget of infinity has no number of steps."""
_LAST = re.compile(r"last:[1-9][0-9]{0,5}")


@dataclass(frozen=True)
class BiasOptions:
    """Which biases to learn, and what they may cost.

    Attributes:
        layers: `all` (the paper, until validation images stop it), `half`, `last:N`, or `auto`:
            what measurement found best within the budget.
        passes: forward passes that learning may cost in all, the one without biases and
            validation included; None is no bound, except for `auto`: `DEFAULT_PASSES`.
        head2toe: the head reads the feature maps with the largest biases too (Sec. 7.3).
    """

    layers: str = "auto"
    passes: float | None = None
    head2toe: bool = False


def check_choice(layers: str) -> None:
    """Accept what `--bb` may say, before anything is learned.

    Raises:
        UsageError: another word.
    """
    if layers not in BIAS_CHOICES[:3] and layers != "none" and not _LAST.fullmatch(layers):
        raise UsageError(f"expected --bb {', '.join(BIAS_CHOICES)}, got {layers!r}")


def check_passes(passes: float) -> None:
    """Accept what `--bb-passes` may say, before anything is learned.

    Raises:
        UsageError: not more than the pass without biases costs, or no number to plan with.
    """
    if not passes > 1:
        raise UsageError(
            f"expected more forward passes than the one without biases, got {passes:g}; raise "
            "--bb-passes"
        )
    if passes >= MOST_PASSES:
        raise UsageError(
            f"expected fewer than {MOST_PASSES:,.0f} forward passes, got {passes:g}; lower "
            "--bb-passes"
        )
