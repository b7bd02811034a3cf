"""Names of the ways to learn a task: a task mapper, with or without beneficial biases.

`gmmc`, `maha` and `moments` learn without biases; `+bb` adds them within a budget of forward
passes, `+bb-last` on the last half of the layers only (paper, Sec. 8); `bb-h2t` is the paper's
Head2Toe on top of biases, behind its Mahalanobis mapper (Sec. 7.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from teachmesh.data.names import closest
from teachmesh.errors import UsageError
from teachmesh.mapping.mapper import METHODS

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


@dataclass(frozen=True)
class Variant:
    """How a task is learned.

    Attributes:
        name: as people write it.
        method: the task mapper.
        biases: None without biases.
    """

    name: str
    method: str
    biases: BiasOptions | None = None

    def with_biases(self, layers: str | None, passes: float | None) -> Variant:
        """The variant with another choice of layers or another budget, where they are given.

        Raises:
            UsageError: no such choice, a budget that pays for nothing or has no bound, a budget
                without biases, or `none` for Head2Toe, which is made of biases.
        """
        biases = self.biases
        if layers is not None:
            check_choice(layers)
            biases = None if layers == "none" else replace(biases or BiasOptions(), layers=layers)
        if self.biases is not None and self.biases.head2toe and biases is None:
            raise UsageError(f"expected biases on some layers with {self.name!r}, got --bb none")
        if passes is not None:
            if biases is None:
                raise UsageError("expected --bb-passes together with --bb or a +bb method")
            check_passes(passes)
            biases = replace(biases, passes=passes)
        return replace(self, name=self._name_with(biases), biases=biases)

    def _name_with(self, biases: BiasOptions | None) -> str:
        """What the variant is called with other biases; `+bb-last` is one choice of layers."""
        if biases is None:
            return self.method
        if self.biases is not None and (biases.head2toe or biases.layers == self.biases.layers):
            return self.name
        return f"{self.method}+bb"


def _variants() -> dict[str, Variant]:
    found = [Variant(method, method) for method in METHODS]
    found += [Variant(f"{m}+bb", m, BiasOptions()) for m in METHODS]
    found += [Variant(f"{m}+bb-last", m, BiasOptions("half")) for m in METHODS]
    found.append(Variant("bb-h2t", "maha", BiasOptions(head2toe=True)))
    return {variant.name: variant for variant in found}


VARIANTS = _variants()


def find_variant(name: str) -> Variant:
    """The variant of a name.

    Raises:
        UsageError: unknown; names the nearest one.

    Examples:
        >>> find_variant("maha+bb").method
        'maha'
    """
    if name in VARIANTS:
        return VARIANTS[name]
    nearest = closest(name, VARIANTS)
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    raise UsageError(f"expected a method out of {', '.join(VARIANTS)}, got {name!r}{hint}")


def check_method(method: str) -> str:
    """Return a known method.

    Raises:
        UsageError: unknown; names the nearest one.
    """
    if method in METHODS:
        return method
    nearest = closest(method, METHODS)
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    raise UsageError(f"expected a method out of {', '.join(METHODS)}, got {method!r}{hint}")


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
