"""`bench compare`: match the summary rows of two runs, and list the unmatched rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from teachmesh_lab.bench.run_folder import read_summary

SCHEMA = "teachmesh.bench-compare/1"
_MEASURES = ("accuracy", "mapper", "macs_teacher", "bytes", "efficiency", "wall_s")
_KEY = (
    "stream", "tasks", "backbone", "packing", "options", "method", "agents", "oracle",
)  # fmt: skip
_Rows = Mapping[tuple[str, int], Mapping[str, Any]]


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Match the rows of two summaries by key; rows with equal keys are matched in order.

    Args:
        first: folder of a run.
        second: folder of another run.

    Returns:
        {"schema", "identical", "rows": [{..., "accuracy": [first, second], ...}], "only_first",
        "only_second"}; `identical` ignores measured seconds.

    Raises:
        StorageError: a folder does not contain a run of this version.
    """
    one, two = read_summary(first), read_summary(second)
    rows_one, rows_two = _by_key(one), _by_key(two)
    both = [key for key in rows_one if key in rows_two]
    return {
        "schema": SCHEMA,
        "identical": one["identity"] == two["identity"],
        "rows": [_pair(rows_one[key], rows_two[key]) for key in both],
        "only_first": [_named(row) for key, row in rows_one.items() if key not in rows_two],
        "only_second": [_named(row) for key, row in rows_two.items() if key not in rows_one],
    }


def _by_key(summary: Mapping[str, Any]) -> _Rows:
    """Return the rows by (key, number of earlier rows with the same key)."""
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    seen: Counter[str] = Counter()
    for row in summary["details"]:
        text = json.dumps(_named(row), sort_keys=True)
        found[text, seen[text]] = row
        seen[text] += 1
    return found


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _KEY}


def _pair(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    return _named(one) | {name: [one[name], two[name]] for name in ("cells", *_MEASURES)}
