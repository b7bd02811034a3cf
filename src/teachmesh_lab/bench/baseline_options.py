"""Training options of baselines: defaults, allowed values, and the methods that read them."""

from __future__ import annotations

from collections.abc import Mapping

from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh.learning.variants import OWNERS

Scalar = str | int | float | bool

OPTIONS: Mapping[str, int | float | str] = {
    "epochs": 5,
    "batch_size": 32,
    "rate": 1e-3,
    "size_px": 32,
    "choice_tasks": 3,
    "net": "quick",
    "norms": "frozen",
    "replay_passes": 0.0,
    "warm_up": 1,
    "task_inference": "none",
}
"""Training options of baselines and their defaults.

- `size_px`: side of the images in pixels; 0 for the network's own input size.
- `net`: "embedded" (pretrained), "small" (random weights), "backbone" (the grid's backbone,
  pretrained), "resnet18" or "resnet50" (timm, random weights). "quick" and "paper" depend on the
  method (`net_name`).
- `norms`: whether batch norms keep their statistics ("frozen") or learn them ("running").
- `replay_passes`: how often ER replays its buffer in an epoch; 0 for as many old images as new.
- `warm_up`: epochs in which LwF trains a new head alone.
- `task_inference`: "entropy" if SUPSUP infers tasks as well, as its authors do.
"""
NETS = ("quick", "paper", "embedded", "small", "backbone", "resnet18", "resnet50")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "net": NETS,
    "norms": ("frozen", "running"),
    "task_inference": ("none", "entropy"),
}
_LEAST: Mapping[str, int] = {
    "epochs": 1,
    "batch_size": 1,
    "size_px": 8,
    "choice_tasks": 1,
    "replay_passes": 0,
    "warm_up": 0,
}
_OWN_SIZE = ("size_px", 0)
_RANDOM_START = {"psp": "resnet18", "supsup": "resnet50", "parallel-supsup": "resnet50"}
"""Method that the paper trains from random weights -> the paper's network."""


def net_name(method: str, net: str) -> str:
    """Return the network that a method starts from.

    - "quick" is the embedded network, or the small one for methods that the paper trains from
      random weights.
    - "paper" is the grid's backbone, or the ResNet that the paper uses for such a method.

    Args:
        method: name of a baseline.
        net: value of the option `net`.

    Examples:
        >>> [net_name(method, "quick") for method in ("ewc", "psp")]
        ['embedded', 'small']
        >>> [net_name(method, "paper") for method in ("ewc", "psp", "supsup")]
        ['backbone', 'resnet18', 'resnet50']
        >>> net_name("ewc", "small")
        'small'
    """
    if net == "quick":
        return "small" if method in _RANDOM_START else "embedded"
    return _RANDOM_START.get(method, "backbone") if net == "paper" else net


def hyper_of(method: str, options: Mapping[str, Scalar]) -> dict[str, float]:
    """Return the hyper-parameters that options set for a method.

    Args:
        method: name of a baseline.
        options: training options with defaults.

    Examples:
        >>> hyper_of("er", with_defaults({"replay_passes": 1})), hyper_of("ewc", with_defaults({}))
        ({'passes': 1.0}, {})
    """
    if method == "er":
        return {"passes": float(options["replay_passes"])}
    if method == "lwf":
        return {"warm_up": float(options["warm_up"])}
    if method in ("supsup", "parallel-supsup"):
        return {"infer": float(options["task_inference"] == "entropy")}
    return {}


def with_defaults(options: Mapping[str, Scalar]) -> dict[str, int | float | str]:
    """Check training options and add default values for missing ones.

    Raises:
        UsageError: an unknown option, or a value of the wrong type or outside its range.

    Examples:
        >>> with_defaults({"epochs": 2})["epochs"], with_defaults({})["rate"]
        (2, 0.001)
    """
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(
                f"expected options of baselines out of {', '.join(OPTIONS)}, got {name!r}"
                f"{did_you_mean(name, list(OPTIONS))}"
            )
        _check_option(name, value)
    return {**OPTIONS, **options}


def _check_option(name: str, value: Scalar) -> None:
    usual = OPTIONS[name]
    kind = (int, float) if isinstance(usual, float) else type(usual)
    # In Python a bool is also an int.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"expected option {name!r} like {usual!r}, got {value!r}")
    if isinstance(value, str):
        if value not in _CHOICES[name]:
            known = ", ".join(_CHOICES[name])
            raise UsageError(f"expected option {name!r} out of {known}, got {value!r}")
    elif name in _LEAST:
        if value < _LEAST[name] and (name, value) != _OWN_SIZE:
            raise UsageError(f"expected option {name!r} of at least {_LEAST[name]}, got {value!r}")
    elif not 0 < value < 1:
        raise UsageError(f"expected option {name!r} between 0 and 1, got {value!r}")


_OF_TRAINED = frozenset({"epochs", "batch_size", "rate", "size_px", "net", "norms"})
_OF_ONE: Mapping[str, frozenset[str]] = {
    "er": frozenset({"replay_passes"}),
    "lwf": frozenset({"warm_up"}),
    "supsup": frozenset({"task_inference"}),
    "parallel-supsup": frozenset({"task_inference"}),
}
"""Method -> options that only this method reads."""
_CHOICE = frozenset({"choice_tasks"})
WITHOUT_CHOICE = ("ncm", "ncm-multi", "fine-tune", "er", "psp", "joint")
"""Baselines whose hyper-parameters have one value each, so that nothing is chosen."""


def options_read(method: str, *, trained: bool, chooses: bool | None = None) -> frozenset[str]:
    """Return the names of the options that a baseline reads.

    Args:
        method: name of a baseline.
        trained: whether the whole network is trained.
        chooses: whether hyper-parameters are chosen; None to look a method of teachmesh up.

    Examples:
        >>> sorted(options_read("slda", trained=False)), options_read("ncm", trained=False)
        (['choice_tasks'], frozenset())
    """
    chosen = method not in WITHOUT_CHOICE if chooses is None else chooses
    of_kind = _OF_TRAINED if trained else frozenset()
    return of_kind | _OF_ONE.get(method, frozenset()) | (_CHOICE if chosen else frozenset())


def training_options(options: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options of baselines among the options of a grid."""
    return {name: value for name, value in options.items() if name not in OWNERS}
