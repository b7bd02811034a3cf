"""The keys `bb` and `keep` of a grid: they choose variants of the methods with biases.

A variant has a name of its own, so the choice is part of the names of cells, rows and lines.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh.learning.variants import ENDINGS, find_variant
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method

BIAS_KEYS = ("bb", "keep")
"""Keys of a grid table that `take_bias_keys` replaces; they are the keys of `ENDINGS`."""


def take_bias_keys(values: MutableMapping[str, Any]) -> None:
    """Remove `bb` and `keep` from a grid table, and rename its methods with biases accordingly.

    Args:
        values: table of one grid, with `methods` as a tuple of names; changed in place.

    Raises:
        UsageError: a value is unknown, no variant has this name, or no method has biases.

    Examples:
        >>> table = {"methods": ("maha", "maha+bb"), "bb": "all", "keep": "always"}
        >>> take_bias_keys(table)
        >>> table
        {'methods': ('maha', 'maha+bb-all-always')}
    """
    given = {key: values.pop(key) for key in BIAS_KEYS if key in values}
    if not given:
        return
    _check(given)
    if not any(map(_is_plain_biased, values["methods"])):
        raise UsageError("expected a method with +bb in a grid with 'bb' or 'keep', got none")
    renamed = (_renamed(method, given) for method in values["methods"])
    values["methods"] = tuple(dict.fromkeys(renamed))


def _check(given: Mapping[str, str]) -> None:
    for position, key in enumerate(BIAS_KEYS):
        known = tuple(dict.fromkeys(ending[position] for ending in ENDINGS))
        if key in given and given[key] not in known:
            near = did_you_mean(given[key], known)
            raise UsageError(
                f"expected {key!r} out of {', '.join(known)} in a grid, got {given[key]!r}{near}"
            )


def _renamed(method: str, given: Mapping[str, str]) -> str:
    """Return the variant of a method with biases; other methods are returned unchanged."""
    if not _is_plain_biased(method):
        return method
    variant = find_variant(method)
    assert variant.biases is not None
    wanted = given.get("bb", variant.biases.layers), given.get("keep", variant.biases.keep)
    if wanted not in ENDINGS:
        raise UsageError(f"expected no bb = {wanted[0]!r} together with keep = {wanted[1]!r}")
    return f"{variant.method}{ENDINGS[wanted]}"


def _is_plain_biased(method: str) -> bool:
    """Return whether a method has biases and a mapper's own head, so not Head2Toe."""
    if check_bench_method(method) is not Kind.ADAPTED:
        return False
    biases = find_variant(method).biases
    return biases is not None and not biases.head2toe
