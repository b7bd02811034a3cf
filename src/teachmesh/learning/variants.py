"""Variants of learning: a task mapper, with or without beneficial biases.

- `gmmc`, `maha`, `moments`: without biases.
- `+bb`: with biases, within a budget of forward passes.
- `+bb-last`: with biases on the last half of the layers only (paper, Sec. 8).
- `+bb-all`: with biases on all layers, trained until validation stops improving (paper, Sec. 5).
- `+bb-always`, `+bb-all-always`: as `+bb` and `+bb-all`, but biases that do not help are kept. The
  last is the paper's way.
- `bb-h2t`: the paper's Head2Toe and Mahalanobis mapper on top of biases (Sec. 7.3).

Packages can add task mappers without biases, see `mapping.own_mapper`.

The constants of the paper's task mappers can be set too. The number of clusters, the variance floor
and the number of samples belong to a skill, so skills with different values work together. The
ridge belongs to the student. Agents with different ridges would give different answers.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace

from teachmesh.biases.bias_options import BiasOptions, check_choice, check_passes
from teachmesh.data.entry_points import MAPPERS_GROUP, offered_names
from teachmesh.data.names import closest
from teachmesh.errors import UsageError
from teachmesh.mapping.anchor_kinds import METHODS

ENDINGS = {
    ("auto", "auto"): "+bb",
    ("half", "auto"): "+bb-last",
    ("all", "auto"): "+bb-all",
    ("auto", "always"): "+bb-always",
    ("all", "always"): "+bb-all-always",
}
"""Layers and `keep` of `BiasOptions` -> ending of the variant's name."""


@dataclass(frozen=True)
class Variant:
    """A way to learn a task.

    Attributes:
        name: name on the command line.
        method: the task mapper.
        biases: options of the beneficial biases; None to learn without biases.
    """

    name: str
    method: str
    biases: BiasOptions | None = None

    def with_biases(self, layers: str | None, passes: float | None) -> Variant:
        """Return the variant with other layers or another budget; None keeps the current value.

        Raises:
            UsageError: the layers are unknown; the budget is too small, infinite or given without
                biases; or `none` is chosen for Head2Toe, which needs biases.
        """
        biases = self.biases
        if layers is not None:
            check_choice(layers)
            biases = None if layers == "none" else replace(biases or BiasOptions(), layers=layers)
        if self.biases is not None and self.biases.head2toe and biases is None:
            raise UsageError(f"expected biases on some layers with {self.name!r}, got --bb none")
        if biases is not None and self.method not in METHODS:
            raise UsageError(
                f"expected no biases with {self.method!r}, a mapper of another package; leave "
                "--bb out, or choose a method of teachmesh"
            )
        if passes is not None:
            if biases is None:
                raise UsageError("expected --bb-passes together with --bb or a +bb method")
            check_passes(passes)
            biases = replace(biases, passes=passes)
        return replace(self, name=self._name_with(biases), biases=biases)

    def _name_with(self, biases: BiasOptions | None) -> str:
        """Return the variant's name for other biases; it is `+bb` for layers such as `last:3`."""
        if biases is None:
            return self.method
        if biases.head2toe:
            return self.name
        return f"{self.method}{ENDINGS.get((biases.layers, biases.keep), '+bb')}"


def _variants() -> dict[str, Variant]:
    found = [Variant(method, method) for method in METHODS]
    for (layers, keep), ending in ENDINGS.items():
        options = BiasOptions(layers, keep=keep)
        found += [Variant(f"{method}{ending}", method, options) for method in METHODS]
    found.append(Variant("bb-h2t", "maha", BiasOptions(head2toe=True)))
    return {variant.name: variant for variant in found}


VARIANTS = _variants()


def find_variant(name: str) -> Variant:
    """Return the variant with this name.

    Raises:
        UsageError: the name is unknown; the message suggests the nearest one.
        ConfigError: another package offers the method, and it cannot be used.

    Examples:
        >>> find_variant("maha+bb").method
        'maha'
    """
    if name in VARIANTS:
        return VARIANTS[name]
    if name in offered_names(MAPPERS_GROUP):
        return Variant(check_method(name), name)
    raise _unknown(name, (*VARIANTS, *offered_names(MAPPERS_GROUP)))


def check_method(method: str) -> str:
    """Return the method if it is known.

    Raises:
        UsageError: the method is unknown; the message suggests the nearest one.
        ConfigError: another package offers the method, and it cannot be used.
    """
    if method in METHODS:
        return method
    if method not in offered_names(MAPPERS_GROUP):
        raise _unknown(method, (*METHODS, *offered_names(MAPPERS_GROUP)))
    # Imported here because it loads torch, and the methods of teachmesh do not need it.
    from teachmesh.mapping.own_mapper import OWN_MAPPERS

    OWN_MAPPERS.load(method)
    return method


QUALITIES = {"fast": "none", "best": "auto"}
"""Layers with biases for each preset of quality."""


def layers_of(quality: str | None, layers: str | None) -> str | None:
    """Return the layers that get biases; None for those of the variant.

    `fast` learns without biases. `best` trains them within 8 forward passes, and keeps them where
    validation images clearly gain.

    Args:
        quality: `fast` or `best`; None for no preset.
        layers: layers that are given explicitly, or None.

    Raises:
        UsageError: the quality is unknown, or both are given.

    Examples:
        >>> layers_of("best", None), layers_of("fast", None), layers_of(None, "half")
        ('auto', 'none', 'half')
    """
    if quality is None:
        return layers
    if quality not in QUALITIES:
        raise UsageError(f"expected a quality out of {', '.join(QUALITIES)}, got {quality!r}")
    if layers is not None:
        raise UsageError(
            f"expected --quality or --bb, got both; --quality {quality} stands for --bb "
            f"{QUALITIES[quality]}"
        )
    return QUALITIES[quality]


def check_small(variant: Variant, also: Collection[str] = (), option: str = "--max-bytes") -> None:
    """Check that skills of a variant can be made smaller.

    Args:
        variant: the variant to learn with.
        also: further methods whose anchors are added to the skill.
        option: option that asks for it, for the message.

    Raises:
        UsageError: it is not `moments` alone, without biases.
    """
    if variant.name != METHODS[0] or set(also) - {variant.name}:
        names = ", ".join([variant.name, *also])
        raise UsageError(
            f"expected {option} with {METHODS[0]} alone, without biases, got {names}; leave it "
            f"out, or use --method {METHODS[0]}"
        )


def _unknown(name: str, known: tuple[str, ...]) -> UsageError:
    nearest = closest(name, known)
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    return UsageError(f"expected a method out of {', '.join(known)}, got {name!r}{hint}")


ALL = "all"
"""Value of `samples` for all training images."""
OWNERS: Mapping[str, str] = {
    "clusters": "gmmc",
    "variance_floor": "gmmc",
    "samples": "maha",
    "ridge": "maha",
}
"""Method that uses each constant."""
_RANGES: Mapping[str, tuple[float, float]] = {
    "clusters": (1, 64),
    "variance_floor": (0, 1e3),
    "samples": (1, 1024),
    "ridge": (1e-6, 1e3),
}
_WHOLE = ("clusters", "samples")


@dataclass(frozen=True)
class MapperConstants:
    """Constants of `gmmc` and `maha`; None for the default.

    Attributes:
        clusters: number of clusters per task, k.
        variance_floor: constant added to the variances of clusters, as a fraction of the
            variance of reference images; 0 for the authors' code.
        samples: number of samples per class, m, or "all".
        ridge: ridge of the tied covariance, as a fraction of the mean variance.

    Raises:
        UsageError: a value has the wrong type or is out of range.

    Examples:
        >>> MapperConstants(clusters=5).given()
        {'clusters': 5}
    """

    clusters: int | None = None
    variance_floor: float | None = None
    samples: int | str | None = None
    ridge: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            if (name, value) != ("samples", ALL):
                _check(name, value)

    def given(self) -> dict[str, int | float | str]:
        """Return the constants that are not None, by name."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value is not None}

    def of_method(self, method: str) -> MapperConstants:
        """Return the constants that a task mapper uses; the others are None."""
        found = {name: v for name, v in self.given().items() if OWNERS[name] == method}
        return MapperConstants(**found)  # type: ignore[arg-type] # values were checked

    def check_used(self, methods: Collection[str], prefix: str = "--") -> None:
        """Check that each given constant is used.

        Args:
            methods: task mappers in use.
            prefix: text before the names of options.

        Raises:
            UsageError: no method uses a constant.
        """
        for name in self.given():
            if (owner := OWNERS[name]) not in methods:
                option = prefix + (name.replace("_", "-") if prefix else name)
                raise UsageError(
                    f"expected {option} with {owner} only, got it with "
                    f"{', '.join(sorted(methods))}; leave it out or use {owner}"
                )

    def samples_or(self, default: int) -> int:
        """Return the number of samples per class; a huge number for all images."""
        if self.samples is None:
            return default
        return sys.maxsize if self.samples == ALL else int(self.samples)


NO_CONSTANTS = MapperConstants()
"""All constants at their defaults."""


def _check(name: str, value: float | str) -> None:
    low, high = _RANGES[name]
    whole = name in _WHOLE
    # In Python a bool is also an int.
    number = not isinstance(value, (str, bool)) and (isinstance(value, int) or not whole)
    if not number or not low <= float(value) <= high:
        kind = "a whole number" if whole else "a number"
        other = f" or {ALL!r}" if name == "samples" else ""
        raise UsageError(
            f"expected {kind} from {low:g} to {high:g}{other} for {name!r}, got {value!r}"
        )
