"""Options for beneficial biases: layers, budget, Head2Toe, and whether to drop useless biases."""

from __future__ import annotations

import re
from dataclasses import dataclass

from teachmesh.errors import UsageError

BIAS_CHOICES = ("auto", "all", "half", "last:N", "none")
DEFAULT_PASSES = 8.0
"""Default budget of `auto` in forward passes over all training and validation images."""
MOST_PASSES = 1e6
"""Upper limit of the budget: a larger one takes too long, and an infinite one cannot be planned."""
_LAST = re.compile(r"last:[1-9][0-9]{0,5}")


@dataclass(frozen=True)
class BiasOptions:
    """Layers to bias and the budget for learning the biases.

    Attributes:
        layers: `all` (as in the paper), `half` or `last:N`, trained until validation stops
            improving; or `auto`, the settings that were best within a budget in our measurements.
        passes: learning budget in forward passes over the task, including validation and the pass
            without biases. None means `DEFAULT_PASSES` for `auto` and no limit otherwise.
        head2toe: True if the head also reads the feature maps with the largest biases (Sec. 7.3).
        keep: `auto` to drop biases that do not help on validation images; `always` to train and
            keep them for every task, as in the paper.
    """

    layers: str = "auto"
    passes: float | None = None
    head2toe: bool = False
    keep: str = "auto"


def check_choice(layers: str) -> None:
    """Check the value of `--bb` before learning begins.

    Raises:
        UsageError: the value is not a valid choice.
    """
    if layers not in BIAS_CHOICES[:3] and layers != "none" and not _LAST.fullmatch(layers):
        raise UsageError(f"expected --bb {', '.join(BIAS_CHOICES)}, got {layers!r}")


def check_passes(passes: float) -> None:
    """Check the value of `--bb-passes` before learning begins.

    Raises:
        UsageError: the budget is not strictly between 1 (the cost of the pass without biases)
            and `MOST_PASSES`.
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
