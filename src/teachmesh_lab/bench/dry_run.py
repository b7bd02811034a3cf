"""`bench run --dry-run`: estimate the costs of a run, without the images of SKILL-102."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from teachmesh.bank.home import Home
from teachmesh.errors import BackboneError, UsageError
from teachmesh.learning.variants import NO_CONSTANTS, MapperConstants
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.reference import DEFAULT_DIM
from teachmesh_lab.bench.baseline_cells import image_bytes
from teachmesh_lab.bench.baseline_estimates import Planned, plan_baseline
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, constants_of
from teachmesh_lab.bench.closed_form_estimates import closed_form_costs
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.evaluation.cost_ledger import TaskCost, account
from teachmesh_lab.simulation.task_estimates import (
    NetworkSize,
    TaskSize,
    consolidation_macs,
    estimate_task,
)
from teachmesh_lab.streams.manifest import ManifestTask, skill102
from teachmesh_lab.streams.task_stream import chosen, open_stream, source_kind
from teachmesh_lab.studies.paper_arithmetic import LATENT, XCEPTION_MACS

SCHEMA = "teachmesh.bench-plan/1"
_PAPERS_BACKBONE = "legacy_xception"
_MANIFEST_IMAGE_BYTES = 310_000
"""Average size of a SKILL-102 image in bytes: 1.6 TB divided by 5.2 million images."""


def estimate(config: BenchConfig, home: Home, speed: float) -> dict[str, Any]:
    """Estimate multiply-accumulates, bytes and hours for each method and number of agents.

    Args:
        config: configuration of the run.
        home: home with the backbones; the paper's backbone need not be installed.
        speed: multiply-accumulates per second of one agent.

    Raises:
        DataError: a stream other than SKILL-102 cannot be opened.
        BackboneError: an unknown backbone.
        UsageError: the speed is not a finite number above 0.
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
    """Return the sizes of the manifest's tasks, counting only classes that are learned."""
    return [
        TaskSize(
            t.name,
            t.used_classes,
            t.train,
            t.validation,
            (t.train + t.validation) * _MANIFEST_IMAGE_BYTES,
        )
        for t in tasks
    ]


def shared_costs(
    method: str,
    sizes: Sequence[TaskSize],
    network: NetworkSize,
    constants: MapperConstants = NO_CONSTANTS,
) -> tuple[list[TaskCost], int]:
    """Estimate the costs of tasks that are learned separately, and the cost of consolidation.

    Args:
        method: method of teachmesh, or a closed-form baseline on latents.
        sizes: sizes of the tasks.
        network: size of the backbone.
        constants: constants of the task mapper.
    """
    if check_bench_method(method) is Kind.FROZEN:
        return closed_form_costs(method, sizes, network)
    once = consolidation_macs(method, sizes, network, constants)
    return [estimate_task(method, size, network, constants) for size in sizes], once


def network_size(home: Home, backbone: str) -> NetworkSize:
    """Return the size of a backbone in the home, or of the paper's backbone.

    Raises:
        BackboneError: an unknown backbone.
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
        "options": dict(grid.options),
        "macs_per_image": network.macs_per_image,
        "seeds": list(grid.seeds),
        "rows": [
            _row(method, agents, _plan(method, agents, grid, home, sizes, network, alpha), speed)
            for method in grid.methods
            for agents in grid.agents
        ],
    }


def _sizes(grid: Grid, home: Home) -> list[TaskSize]:
    """Return the sizes of a grid's tasks; the first seed is used for random draws and splits."""
    spec, seed = grid.stream, grid.seeds[0]
    if source_kind(spec.source)[0] == "skill-102":
        tasks = skill102()
        return manifest_sizes([tasks[i] for i in chosen([t.name for t in tasks], spec, seed)])
    return [
        TaskSize(t.name, len(t.classes), len(t.train), len(t.validation), image_bytes(t))
        for t in open_stream(spec, seed, home.cache / "streams").tasks()
    ]


def _plan(
    method: str,
    agents: int,
    grid: Grid,
    home: Home,
    sizes: Sequence[TaskSize],
    network: NetworkSize,
    alpha: float,
) -> Planned:
    if check_bench_method(method) in (Kind.FROZEN, Kind.TRAINED):
        options = dict(grid.options_of(method))
        return plan_baseline(
            method,
            sizes,
            agents,
            network,
            options,
            backbones=home.backbones,
            backbone=grid.backbone,
            alpha=alpha,
            packing=grid.packing,
        )
    constants = constants_of(dict(grid.options_of(method)))
    costs, once = shared_costs(method, sizes, network, constants)
    packing = grid.packing
    paid = account(costs, agents, alpha=alpha, packing=packing, consolidation_macs=once)
    return Planned(paid, 0)


def _row(method: str, agents: int, plan: Planned, speed: float) -> dict[str, Any]:
    found = plan.account
    return {
        "method": method,
        "agents": agents,
        "macs_teacher": found.teacher_macs,
        "macs_student": found.student_macs,
        "macs_choice": plan.choice_macs,
        "bytes": found.bytes,
        "speedup": found.speedup,
        "efficiency": found.efficiency,
        "hours": (found.total + plan.choice_macs) / speed / 3600,
    }
