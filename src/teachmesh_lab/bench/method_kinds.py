"""Every method that a run can compare, and what kind it is."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh.learning.variants import VARIANTS


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
    kinds = {
        name: Kind.OURS if variant.biases is None else Kind.ADAPTED
        for name, variant in VARIANTS.items()
    }
    kinds |= dict.fromkeys(FROZEN, Kind.FROZEN)
    return kinds | dict.fromkeys(TRAINED, Kind.TRAINED)


GROUPS = {"ours": Kind.OURS, "biased": Kind.ADAPTED, "frozen": Kind.FROZEN, "trained": Kind.TRAINED}
"""Words for all methods of a kind: whatever is added later is among them by itself."""


def expand_methods(names: Iterable[str]) -> tuple[str, ...]:
    """Names with groups written out, each once, in the order of the names.

    Examples:
        >>> expand_methods(["slda", "frozen"])
        ('slda', 'ncm', 'ranpac')
    """
    kinds = bench_methods()
    found: list[str] = []
    for name in names:
        wanted = GROUPS.get(name)
        found += [name] if wanted is None else [m for m, kind in kinds.items() if kind is wanted]
    return tuple(dict.fromkeys(found))


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
