"""`bench compare`: what two runs have in common, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillmesh.experiments.bench.stored import read_summary

SCHEMA = "skillmesh.bench-compare/1"
_MEASURES = ("accuracy", "mapper", "macs_teacher", "bytes", "efficiency", "wall_s")
_KEY = ("stream", "backbone", "method", "agents", "oracle")


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Match the rows of two summaries.

    Args:
        first: folder of a run.
        second: folder of another.

    Returns:
        {"schema", "identical", "rows": [{..., "accuracy": [first, second], ...}], "only_first",
        "only_second"}; `identical` leaves out what a clock said.

    Raises:
        StorageError: a folder is no run of this version.
    """
    one, two = read_summary(first), read_summary(second)
    rows_one, rows_two = _by_key(one), _by_key(two)
    both = [key for key in rows_one if key in rows_two]
    return {
        "schema": SCHEMA,
        "identical": one["identity"] == two["identity"],
        "rows": [_pair(key, rows_one[key], rows_two[key]) for key in both],
        "only_first": [_named(key) for key in rows_one if key not in rows_two],
        "only_second": [_named(key) for key in rows_two if key not in rows_one],
    }


def _by_key(summary: Mapping[str, Any]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    return {tuple(row[name] for name in _KEY): row for row in summary["details"]}


def _named(key: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(_KEY, key, strict=True))


def _pair(key: tuple[Any, ...], one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    return _named(key) | {name: [one[name], two[name]] for name in _MEASURES}
