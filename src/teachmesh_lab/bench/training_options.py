"""What a grid may say of the baselines' training, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping

from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError

Scalar = str | int | float | bool

OPTIONS: Mapping[str, int | float | str] = {
    "epochs": 5,
    "batch_size": 32,
    "rate": 1e-3,
    "size_px": 32,
    "choice_tasks": 3,
    "net": "paper",
}
"""What a grid's `options` may say, and what holds otherwise. `net` is "embedded" (pretrained),
"small" (random), or "paper": embedded for all but those that the paper starts at random."""
NETS = ("paper", "embedded", "small")
_LEAST: Mapping[str, int] = {"epochs": 1, "batch_size": 1, "size_px": 8, "choice_tasks": 1}


RANDOM_START = ("psp", "supsup", "parallel-supsup")
"""Methods that the paper starts at random weights."""


def net_name(method: str, net: str) -> str:
    """The network that a method starts from, where the option says "paper" too.

    >>> net_name("psp", "paper"), net_name("ewc", "paper"), net_name("ewc", "small")
    ('small', 'embedded', 'small')
    """
    if net != "paper":
        return net
    return "small" if method in RANDOM_START else "embedded"


def with_defaults(options: Mapping[str, Scalar]) -> dict[str, int | float | str]:
    """The options of a run, those that were not given as they are otherwise.

    Raises:
        UsageError: an unknown option, or a value of another type or outside its range.

    >>> with_defaults({"epochs": 2})["epochs"], with_defaults({})["rate"]
    (2, 0.001)
    """
    for name, value in options.items():
        if name not in OPTIONS:
            raise UsageError(
                f"expected options of baselines out of {', '.join(OPTIONS)}, got {name!r}"
                f"{did_you_mean(name, list(OPTIONS))}"
            )
        _check(name, value)
    return {**OPTIONS, **options}


def _check(name: str, value: Scalar) -> None:
    usual = OPTIONS[name]
    kind = (int, float) if isinstance(usual, float) else type(usual)
    # To Python a bool is a number.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"expected option {name!r} like {usual!r}, got {value!r}")
    if isinstance(value, str):
        if value not in NETS:
            raise UsageError(f"expected option {name!r} out of {', '.join(NETS)}, got {value!r}")
    elif name in _LEAST and value < _LEAST[name]:
        raise UsageError(f"expected option {name!r} of at least {_LEAST[name]}, got {value!r}")
    elif name not in _LEAST and not 0 < value < 1:
        raise UsageError(f"expected option {name!r} between 0 and 1, got {value!r}")
