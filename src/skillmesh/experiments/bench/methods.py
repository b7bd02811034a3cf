"""Every method that a run can compare, and what kind it is."""

from __future__ import annotations

from enum import Enum

from skillmesh.data.names import did_you_mean
from skillmesh.errors import UsageError
from skillmesh.mapping.mapper import METHODS


class Kind(Enum):
    """How a method works, which decides how it is run."""

    OURS = "ours"  # a skill per task, taught to others, from latents alone
    ADAPTED = "adapted"  # ours with biases: answers need the images again
    FROZEN = "frozen"  # a classifier on latents, in closed form
    TRAINED = "trained"  # the whole network is trained, task after task


FROZEN = ("ncm", "slda", "ranpac")
TRAINED = (
    "fine-tune", "ewc", "online-ewc", "si", "mas", "lwf", "er", "psp", "supsup",
    "parallel-supsup", "joint",
)  # fmt: skip


def bench_methods() -> dict[str, Kind]:
    """Name -> kind, ours first."""
    kinds = {name: _kind(name) for name in METHODS}
    kinds |= dict.fromkeys(FROZEN, Kind.FROZEN)
    return kinds | dict.fromkeys(TRAINED, Kind.TRAINED)


def _kind(name: str) -> Kind:
    """Biases are in the name: `maha+bb`, `bb-h2t`."""
    return Kind.ADAPTED if "bb" in name.replace("+", "-").split("-") else Kind.OURS


def check_bench_method(name: str) -> Kind:
    """The kind of a method.

    Raises:
        UsageError: unknown; names the nearest one.
    """
    kinds = bench_methods()
    if name not in kinds:
        raise UsageError(
            f"expected a method out of {', '.join(kinds)}, got {name!r}{did_you_mean(name, kinds)}"
        )
    return kinds[name]
