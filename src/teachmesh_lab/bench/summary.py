"""Summary of cells: a row for each method and number of agents, without and with a task oracle.

`rows` has the columns used for comparison. `details` has the same rows in the same order, with more
columns, such as stream, backbone, forgetting, and whether the row was derived.

`wall_s` and `wall_clock` are measured, and read from files that are never rewritten. `identity` is
a hash of everything else, so two runs of the same configuration have the same identity.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from teachmesh_lab.bench.bench_methods import Kind, check_bench_method
from teachmesh_lab.bench.cell import Inputs, Result
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.evaluation.cost_ledger import (
    Account,
    account,
    chain_account,
    gather_account,
)
from teachmesh_lab.evaluation.metrics import (
    backward_transfer,
    forgetting,
    learned_mean,
    mean_and_half_width,
    regression_line,
    seed_deviation,
)
from teachmesh_lab.evaluation.sampling_error import image_error

SCHEMA = "teachmesh.bench/1"
CLOCKED = ("wall_s", "wall_clock")
"""Keys of measured values; all other values are determined by the configuration."""
_FLOAT_BYTES = 4
ROW = (
    "method", "agents", "oracle", "accuracy", "mapper", "macs_teacher", "macs_student", "bytes",
    "efficiency", "speedup", "wall_s", "seeds", "network", "parameters", "size_px",
)  # fmt: skip
"""Columns of `rows`."""
DETAIL = (
    *ROW, "grid", "cells", "stream", "tasks", "backbone", "packing", "options",
    "measure", "test_images", "accuracy_sd", "accuracy_95", "accuracy_images",
    "accuracy_validation", "final", "total", "macs_choice", "macs_test_per_image", "forgetting",
    "backward_transfer", "mapper_slope", "derived", "checks", "wall_clock",
)  # fmt: skip
"""Columns of `details`."""


def summarise(
    config: BenchConfig,
    inputs: Sequence[Inputs],
    results: Sequence[Result],
    failed: Sequence[Mapping[str, str]] = (),
    missing: Sequence[Mapping[str, str]] = (),
    *,
    alpha: float | None = None,
) -> dict[str, Any]:
    """Return the content of `summary.json`.

    Args:
        config: configuration of the run.
        inputs: streams and backbone of each grid.
        results: results of the computed cells.
        failed: {"cell", "message"} of each cell that failed.
        missing: {"cell", "label"} of each planned cell that has no result.
        alpha: multiply-accumulates per byte; None for the configuration's value.
    """
    chosen = config.alpha if alpha is None else alpha
    details: list[dict[str, Any]] = []
    for number, (grid, found) in enumerate(zip(config.grids, inputs, strict=True)):
        mine = [r for r in results if found.belongs(r.cell, grid)]
        place = {"grid": number, "stream": found.stream}
        for method in grid.methods:
            for agents in grid.agents:
                rows = _details(grid, method, agents, mine, chosen)
                details += [row | place for row in rows]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "name": config.name,
        "alpha": chosen,
        "rows": [{key: row[key] for key in ROW} for row in details],
        "details": details,
        "inputs": [item.to_json() for item in inputs],
        "cells": [r.cell.name for r in results],
        "failed": [dict(item) for item in failed],
        "missing": [dict(item) for item in missing],
    }
    document["identity"] = identity(document)
    return document


def identity(document: Mapping[str, Any]) -> str:
    """Return a hash of everything in a summary except its measured values."""
    text = json.dumps(_unclocked(document), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _unclocked(value: Any) -> Any:
    if isinstance(value, Mapping):
        dropped = (*CLOCKED, "identity")
        return {key: _unclocked(item) for key, item in value.items() if key not in dropped}
    if isinstance(value, list):
        return [_unclocked(item) for item in value]
    return value


def _details(
    grid: Grid, method: str, agents: int, results: Sequence[Result], alpha: float
) -> list[dict[str, Any]]:
    """Return a method's rows over all seeds, without and with an oracle if both were measured."""
    alone = [r for r in results if r.cell.method == method and r.cell.agents == 1]
    real = [r for r in results if r.cell.method == method and r.cell.agents == agents]
    if not alone:
        return []
    measured = real if agents > 1 and real else alone
    found = []
    for oracle in (False, True):
        name = "oracle" if oracle else "accuracy"
        scored = [r for r in measured if r.last(name) is not None]
        if scored:
            row = _detail(grid, method, agents, oracle, scored, alone, alpha)
            row["derived"] = agents > 1 and not real
            found.append(row)
    return found


def _detail(
    grid: Grid,
    method: str,
    agents: int,
    oracle: bool,
    scored: Sequence[Result],
    alone: Sequence[Result],
    alpha: float,
) -> dict[str, Any]:
    name = "oracle" if oracle else "accuracy"
    per_seed = [r.last_mean(name) for r in scored]
    accuracy, half = mean_and_half_width(per_seed)
    mappers = [r.last_mean("mapper") for r in scored if r.last("mapper") is not None]
    row = {
        "method": method,
        "agents": agents,
        "oracle": oracle,
        "accuracy": accuracy,
        "measure": "oracle" if oracle else _measure(method, alone[0]),
        "test_images": _test_images(alone[0]),
        "accuracy_sd": seed_deviation(per_seed),
        "accuracy_95": half,
        "accuracy_validation": None if oracle else _on_validation_images(alone),
        "accuracy_images": image_error([r.right(name) for r in scored]),
        "mapper": float(np.mean(mappers)) if mappers and not oracle else None,
        "final": _optional_mean(scored, "final") if not oracle else None,
        "tasks": len(alone[0].values["tasks"]),
        "backbone": grid.backbone,
        "packing": grid.packing if agents > 1 else None,
        "options": dict(grid.options_of(method)),
        "cells": [r.cell.name for r in scored],
        "checks": [r.values["check"] for r in scored if "check" in r.values],
        "seeds": [r.cell.seed for r in scored],
        "wall_s": _wall(scored, agents),
        "wall_clock": _wall_clock(scored),
    }  # fmt: skip
    row |= scored[0].values["network"]
    accounts = [account_of(r, agents, grid.packing, alpha) for r in alone]
    return row | _paid(accounts) | _outside_accounts(alone) | _over_time(alone, name)


def _on_validation_images(results: Sequence[Result]) -> float | None:
    """Return the mean accuracy on validation images, by which constants are chosen."""
    values = [r.values["validation"]["accuracy"] for r in results if "validation" in r.values]
    return _optional([x for row in values for x in row])


def _measure(method: str, result: Result) -> str:
    """Return the kind of an accuracy without an oracle: "final" or "direct" (docs/bench.md).

    SUPSUP with its own inference first chooses a task, then a class of this task.
    """
    ours = check_bench_method(method) in (Kind.OURS, Kind.ADAPTED)
    infers = dict(result.values.get("hyper") or {}).get("infer", 0.0)
    return "final" if ours or infers else "direct"


def _test_images(result: Result) -> int:
    return sum(int(task["test"]) for task in result.values["tasks"])


def _paid(accounts: Sequence[Account]) -> dict[str, float]:
    columns = {
        "macs_teacher": "teacher_macs", "macs_student": "student_macs", "bytes": "bytes",
        "total": "total", "efficiency": "efficiency", "speedup": "speedup",
    }  # fmt: skip
    return {column: _average(accounts, name) for column, name in columns.items()}


def _outside_accounts(alone: Sequence[Result]) -> dict[str, float]:
    """Return the mean costs of tuning and answering, which the accounts leave out."""
    columns = {"macs_choice": "choice_macs", "macs_test_per_image": "test_macs_per_image"}
    return {
        column: float(np.mean([r.values.get(name, 0) for r in alone]))
        for column, name in columns.items()
    }


def _over_time(alone: Sequence[Result], name: str) -> dict[str, float | None]:
    """Return the mean of each metric that requires accuracies measured after every task."""
    matrices = [m for r in alone if (m := r.matrix(name)) is not None]
    mappers = [m for r in alone if (m := r.matrix("mapper")) is not None]
    slopes = [regression_line(learned_mean(m)).slope for m in mappers]
    return {
        "forgetting": _optional([forgetting(m) for m in matrices]),
        "backward_transfer": _optional([backward_transfer(m) for m in matrices]),
        "mapper_slope": float(np.mean(slopes)) if slopes else None,
    }


def account_of(result: Result, agents: int, packing: str, alpha: float) -> Account:
    """Return the costs of N agents, derived from the counted costs of one agent's cell."""
    if result.values["parallel"] == "skills":
        return account(
            result.costs(),
            agents,
            alpha=alpha,
            packing=packing,
            consolidation_macs=int(result.values.get("consolidation_macs", 0)),
        )
    hand_over = float(result.values.get("hand_over_bytes", 0))
    if result.values["parallel"] == "gather":
        gathered = float(result.values["gather_bytes"])
        return gather_account(result.costs(), agents, gathered, hand_over, alpha=alpha)
    return chain_account(result.costs(), agents, hand_over, alpha=alpha)


def images_that_travel(result: Result, agents: int, packing: str, alpha: float) -> Account:
    """Return the costs of N agents if skills of `maha` contain sample images, as in the paper.

    Such a skill consists of the head and the files of the first images of every class. The paper's
    Fig. 10 counts raw pixels, which take at least ten times as many bytes as files. Every student
    passes the images through the backbone, a cost that the paper does not count.

    Args:
        result: result of a `maha` cell with one agent.
        agents: number of agents, N.
        packing: how tasks are assigned to agents.
        alpha: multiply-accumulates per byte.
    """
    values = result.values
    per_image, row = int(values["backbone_macs_per_image"]), int(values["latent_dim"]) + 1
    costs = [
        dataclasses.replace(
            cost,
            skill_bytes=image_bytes + _FLOAT_BYTES * row * size["classes"],
            receive_macs=cost.receive_macs + images * per_image,
        )
        for cost, size, image_bytes, images in zip(
            result.costs(),
            values["tasks"],
            values["sample_image_bytes"],
            values["sample_images"],
            strict=True,
        )
    ]
    once = int(values["consolidation_macs"])
    return account(costs, agents, alpha=alpha, packing=packing, consolidation_macs=once)


def _optional_mean(results: Sequence[Result], name: str) -> float | None:
    values = [r.last_mean(name) for r in results if r.last(name) is not None]
    return float(np.mean(values)) if values else None


def _optional(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _average(accounts: Sequence[Account], name: str) -> float:
    return float(np.mean([getattr(item, name) for item in accounts]))


def _wall(results: Sequence[Result], agents: int) -> float | None:
    """Return the mean seconds of embedding plus learning or, for N agents, the mean makespan."""
    if agents > 1:
        known = [r.timing["shared"]["makespan_s"] for r in results if "shared" in r.timing]
        return round(float(np.mean(known)), 3) if known else None
    seconds = [
        sum(r.timing.get("embed_s", [])) + sum(r.timing["learn_s"]) + r.timing.get("student_s", 0.0)
        for r in results
    ]
    return round(float(np.mean(seconds)), 3)


def _wall_clock(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the measurements of real processes, one entry per seed."""
    found = []
    for r in results:
        if "shared" not in r.timing:
            continue
        shared, alone = r.timing["shared"], r.timing["alone"]
        speedup = alone["makespan_s"] / max(shared["makespan_s"], 1e-9)
        found.append(
            {
                "seed": r.cell.seed,
                "makespan_s": shared["makespan_s"],
                "alone_s": alone["makespan_s"],
                "speedup": round(speedup, 4),
                "startup_s": shared["startup_s"],
                "bytes_sent": shared["bytes_sent"],
            }
        )
    return found
