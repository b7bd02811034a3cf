"""Costs of students: counted against sums written out, and against a dry run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from teachmesh.agent.answers.student import Student
from teachmesh.mapping.moments import LEADING
from teachmesh.mapping.moments_fit import RANK
from teachmesh.model.backbone import Latents
from teachmesh.model.backbone_registry import load_backbone
from teachmesh_lab.bench.cell import Result
from teachmesh_lab.bench.dry_run import estimate
from teachmesh_lab.bench.grid_config import BenchConfig
from teachmesh_lab.bench.jobs import make_plan
from teachmesh_lab.bench.own_cells import count_student_macs, make_skill, student_costs
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.bench.run_grid import InProcess, run_bench
from teachmesh_lab.bench.worker import Workshop
from tests.lab.bench.conftest import TinyRun

METHODS = ("moments", "gmmc", "maha")
TASKS, CLASSES, TRAIN = 2, 3, 28
"""Numbers of tasks, of classes per task, and of training images per task, of the tiny run."""
SAMPLES = 5


@pytest.fixture(scope="module")
def finished(tiny: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The configuration, summary and results of a run with all three task mappers."""
    run = tmp_path_factory.mktemp("student") / "run"
    (grid,) = tiny.config.grids
    config = dataclasses.replace(
        tiny.config, grids=(dataclasses.replace(grid, methods=METHODS, agents=(1, 2)),)
    )
    summary = run_bench(
        config, run, tiny.home, lambda: InProcess(run, tiny.home), log=lambda _: None
    )
    results = {r.cell.method: r for r in read_run(run).results}
    return {"config": config, "summary": summary, "results": results}


def _by_hand(method: str, last_dim: int, dim: int) -> tuple[int, int]:
    """Return the cost of registering one skill, and of consolidating all."""
    if method == "maha":
        d, rows = last_dim, TASKS * CLASSES
        # the scatter of all samples, its Cholesky factorisation, two substitutions per class
        return 0, SAMPLES * rows * d * d + d**3 // 6 + rows * d * d
    if method == "gmmc":
        return 0, 0  # clusters are only collected
    density = 0
    for r, d in ((min(RANK, TRAIN), dim), (LEADING[1], LEADING[0])):
        # R R^T, its factorisation, the factor's inverse and its product with R, and two products
        # per class
        density += r * r * d + r**3 // 6 + r**3 // 2 + r * r * d + 2 * CLASSES * r * d
    return density, 0


@pytest.mark.parametrize("method", METHODS)
def test_a_sum_written_out_equals_the_ledger(
    finished: dict[str, Any], tiny: TinyRun, method: str
) -> None:
    """N agents pay for all registrations and for one consolidation each."""
    result: Result = finished["results"][method]
    backbone = load_backbone(tiny.home.backbones, "embedded")
    assert [task["train"] for task in result.values["tasks"]] == [TRAIN] * TASKS
    register, once = _by_hand(method, backbone.last_dim, backbone.dim)
    costs = result.costs()
    assert [cost.register_macs for cost in costs] == [register] * TASKS
    assert result.values["consolidation_macs"] == once
    rows = [r for r in finished["summary"]["rows"] if r["method"] == method and not r["oracle"]]
    alone, two = rows
    assert alone["macs_student"] == TASKS * register + once
    received = {cost.receive_macs for cost in costs}
    assert two["macs_student"] - alone["macs_student"] in received


def test_a_dry_run_equals_the_run(finished: dict[str, Any], tiny: TinyRun) -> None:
    """Student costs are equal to the last product; bytes differ by names on cards only."""
    config: BenchConfig = finished["config"]
    (planned,) = estimate(config, tiny.home, 1e9)["grids"]
    plans = {(row["method"], row["agents"]): row for row in planned["rows"]}
    for row in finished["summary"]["rows"]:
        plan = plans[row["method"], row["agents"]]
        assert plan["macs_student"] == row["macs_student"]
        assert plan["bytes"] == pytest.approx(row["bytes"], rel=0.02)


def test_arrivals_cost_nothing_until_an_image_is_asked_about(tiny: TinyRun) -> None:
    """The tied covariance is computed once for all skills that arrived, then again after more."""
    shop = Workshop(tiny.folder, tiny.home)
    cell = make_plan(tiny.config, tiny.home).cells[0]
    _, tasks = shop.stream(cell.stream, 0)
    latents = [_latents(shop, task) for task in tasks]
    backbone = shop.backbone("embedded")
    skills = {task.name: make_skill("maha", task, backbone, 0)[0] for task in latents}
    image = Latents(latents[0].test.latents.last[:1], latents[0].test.latents.multi[:1])
    student = Student("maha", backbone.reference.metric)
    counted = student_costs("maha", skills, image, backbone.reference.metric)
    for end in range(1, TASKS + 1):
        some = {name: skills[name] for name in sorted(skills)[:end]}
        assert count_student_macs(lambda some=some: student.sync(some, skills.__getitem__)) == 0
    first = sorted(skills)[0]
    answers = [count_student_macs(lambda: student.decide(image).answer()) for _ in range(2)]
    assert answers == [counted.consolidation + counted.per_image, counted.per_image]
    student.sync({first: skills[first]}, skills.__getitem__)
    student.sync(skills, skills.__getitem__)
    again = count_student_macs(lambda: student.decide(image).answer())
    assert again == counted.consolidation + counted.per_image


def _latents(shop: Workshop, task: Any) -> Any:
    from teachmesh_lab.bench.stream_latents import task_latents

    return task_latents(shop.backbone("embedded"), task, shop.cache)


def test_an_image_costs_the_same_whatever_a_mapper_keeps(finished: dict[str, Any]) -> None:
    """The map to the metric's space is part of every answer, not of consolidation."""
    values = finished["results"]["moments"].values
    assert values["consolidation_macs"] == 0
    assert values["mapper_macs_per_image"] > 2 * 128 * 1024
