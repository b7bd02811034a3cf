"""What decides a cell's result beside its arguments: choices that are written in the code.

They are part of a cell's key, so that a cell is computed anew when such a choice has changed.
"""

from __future__ import annotations

import json

from teachmesh.biases import bias_store
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.bench.method_kinds import Kind, check_bench_method
from teachmesh_lab.bench.training_options import OPTIONS


def recipe_of(method: str) -> str:
    """Hyper-parameters that a baseline tries and its usual options, or how biases are learned.

    Raises:
        UsageError: an unknown method.

    Examples:
        >>> recipe_of("moments"), recipe_of("ncm")
        ('', '{"grid":{}}')
    """
    kind = check_bench_method(method)
    if kind is Kind.OURS:
        return ""
    if kind is Kind.ADAPTED:
        return _text({"biases": bias_store.VERSION})
    grid = {name: list(values) for name, values in BASELINES[method].grid.items()}
    return _text({"grid": grid} | ({"usual": dict(OPTIONS)} if kind is Kind.TRAINED else {}))


def _text(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
