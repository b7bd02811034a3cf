"""`bench run --dry-run`: what a run would cost; the manifest's tasks need not be there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from skillmesh.bank.home import Home
from skillmesh.errors import BackboneError, UsageError
from skillmesh.experiments.arithmetic import LATENT, XCEPTION_MACS
from skillmesh.experiments.bench.config import BenchConfig, Grid
from skillmesh.experiments.bench.estimates import (
    NetworkSize,
    TaskSize,
    consolidation_macs,
    estimate_task,
)
from skillmesh.experiments.bench.methods import Kind, check_bench_method
from skillmesh.experiments.ledger import Account, account, chain_account
from skillmesh.experiments.streams.manifest import ManifestTask, skill102
from skillmesh.experiments.streams.stream import open_stream
from skillmesh.model.reference import DEFAULT_DIM
from skillmesh.model.registry import load_backbone

SCHEMA = "skillmesh.bench-plan/1"
_PAPERS_BACKBONE = "legacy_xception"
_WEIGHTS = 4 * 22_900_000
"""Bytes that a chain of agents hands on: the paper's network in float32."""


def estimate(config: BenchConfig, home: Home, speed: float) -> dict[str, Any]:
    """Plan of a run: multiply-accumulates, bytes and hours, per method and number of agents.

    Args:
        config: what would be compared.
        home: backbones; the paper's needs not be there.
        speed: multiply-accumulates per second of one agent.

    Raises:
        DataError: a stream that is not the manifest's cannot be opened.
        BackboneError: an unknown backbone.
        UsageError: a speed that makes no sense.
    """
    if not 0 < speed < math.inf:
        raise UsageError(f"expected a speed above 0 multiply-accumulates per second, got {speed:g}")
    return {
        "schema": SCHEMA,
        "name": config.name,
        "speed": speed,
        "alpha": config.alpha,
        "grids": [_grid(grid, home, speed, config.alpha) for grid in config.grids],
    }


def manifest_sizes(tasks: Sequence[ManifestTask]) -> list[TaskSize]:
    """Sizes of manifest tasks, their classes cut as they are learned."""
    return [TaskSize(t.name, t.used_classes, t.train, t.validation) for t in tasks]


def network_size(home: Home, backbone: str) -> NetworkSize:
    """Size of a backbone of the home, or of the paper's.

    Raises:
        BackboneError: neither.
    """
    try:
        found = load_backbone(home.backbones, backbone)
    except BackboneError:
        if not backbone.startswith(_PAPERS_BACKBONE):
            raise
        return NetworkSize(XCEPTION_MACS, LATENT, DEFAULT_DIM)
    return NetworkSize(found.macs_per_image, found.last_dim, found.dim)


def _grid(grid: Grid, home: Home, speed: float, alpha: float) -> dict[str, Any]:
    sizes = _sizes(grid, home)
    network = network_size(home, grid.backbone)
    return {
        "tasks": len(sizes),
        "classes": sum(task.classes for task in sizes),
        "images": sum(task.train + task.validation for task in sizes),
        "backbone": grid.backbone,
        "macs_per_image": network.macs_per_image,
        "seeds": list(grid.seeds),
        "rows": [
            _row(method, agents, _account(method, agents, grid, sizes, network, alpha), speed)
            for method in grid.methods
            for agents in grid.agents
        ],
    }


def _sizes(grid: Grid, home: Home) -> list[TaskSize]:
    if grid.stream.source.startswith("skill-102"):
        return manifest_sizes(skill102())[: grid.stream.limit]
    tasks = open_stream(grid.stream, grid.seeds[0], home.cache / "streams").tasks()
    return [TaskSize(t.name, len(t.classes), len(t.train), len(t.validation)) for t in tasks]


def _account(
    method: str,
    agents: int,
    grid: Grid,
    sizes: Sequence[TaskSize],
    network: NetworkSize,
    alpha: float,
) -> Account:
    costs = [estimate_task(method, size, network) for size in sizes]
    if check_bench_method(method) is Kind.TRAINED:
        return chain_account(costs, agents, _WEIGHTS, alpha=alpha)
    once = consolidation_macs(method, sum(size.classes for size in sizes), network)
    return account(costs, agents, alpha=alpha, packing=grid.packing, consolidation_macs=once)


def _row(method: str, agents: int, found: Account, speed: float) -> dict[str, Any]:
    return {
        "method": method,
        "agents": agents,
        "macs_teacher": found.teacher_macs,
        "macs_student": found.student_macs,
        "bytes": found.bytes,
        "speedup": found.speedup,
        "efficiency": found.efficiency,
        "hours": found.total / speed / 3600,
    }
