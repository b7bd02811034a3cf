"""Constants of task mappers in grids: cells of their own, other results, refusals."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest

from teachmesh.errors import UsageError
from teachmesh.learning.variants import MapperConstants
from teachmesh_lab.bench.bench_methods import constants_of, recipe_of
from teachmesh_lab.bench.grid_config import Overrides, load_config, override, parse_config
from teachmesh_lab.bench.job_engine import InProcess
from teachmesh_lab.bench.jobs import make_plan
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.bench.run_grid import run_bench
from teachmesh_lab.figures.figure_scene import scenes
from tests.lab.bench.conftest import TinyRun

CONSTANTS = [
    ("gmmc", "mapping.gmmc", "N_CLUSTERS"),
    ("gmmc", "mapping.gmmc", "VARIANCE_FLOOR"),
    ("gmmc+bb", "mapping.gmm_fit", "STARTS"),
    ("maha", "mapping.maha", "SAMPLES_PER_CLASS"),
    ("maha", "mapping.maha", "RIDGE"),
    ("maha+bb", "mapping.maha", "LONGEST_RESIDUAL"),
    ("maha", "model.head_training", "MAX_EPOCHS"),
    ("moments", "mapping.discriminant", "OWN_SHARE"),
    ("moments", "mapping.moments_fit", "HEAD_SHARE"),
    ("moments+bb", "mapping.moments", "TASK_SHARPNESS"),
    ("moments", "mapping.ridge", "RIDGE"),
]


@pytest.mark.parametrize(("method", "module", "name"), CONSTANTS)
def test_a_constant_in_the_code_is_part_of_a_cells_name(
    tiny: TinyRun, monkeypatch: pytest.MonkeyPatch, method: str, module: str, name: str
) -> None:
    """Cells that were computed with another constant are not taken for this one."""
    (grid,) = tiny.config.grids
    config = dataclasses.replace(
        tiny.config, grids=(dataclasses.replace(grid, methods=(method, "ncm")),)
    )
    before = {cell.method: cell.name for cell in make_plan(config, tiny.home).cells}
    found = importlib.import_module(f"teachmesh.{module}")
    monkeypatch.setattr(found, name, getattr(found, name) * 2)
    after = {cell.method: cell.name for cell in make_plan(config, tiny.home).cells}
    assert before[method] != after[method]
    assert before["ncm"] == after["ncm"]


def test_each_method_has_its_own_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new variance floor leaves the cells of other methods as they are."""
    before = {method: recipe_of(method) for method in ("gmmc", "maha", "moments")}
    monkeypatch.setattr("teachmesh.mapping.gmmc.VARIANCE_FLOOR", 0.5)
    after = {method: recipe_of(method) for method in before}
    assert [method for method in before if before[method] != after[method]] == ["gmmc"]


def test_options_become_constants() -> None:
    """Options of baselines are left out."""
    found = constants_of({"clusters": 5, "samples": "all", "epochs": 2})
    assert found == MapperConstants(clusters=5, samples="all")


def test_a_list_of_values_is_a_grid_for_each(tmp_path: Path) -> None:
    """Every value has its own rows; other options stay."""
    text = "[[grid]]\nmethods = ['gmmc', 'si']\noptions = {clusters = [1, 5], epochs = 2}"
    grids = parse_config(text, "x").grids
    assert [grid.options_of("gmmc") for grid in grids] == [(("clusters", 1),), (("clusters", 5),)]
    assert [grid.options_of("si") for grid in grids] == [(("epochs", 2),)] * 2
    preset = load_config("mapper-constants")
    given = [dict(grid.options_of(*grid.methods)) for grid in preset.grids]
    assert [one["clusters"] for one in given if "clusters" in one] == [1, 5, 10, 25, 50]
    assert [one["samples"] for one in given if "samples" in one] == [1, 5, 10, "all"]


def test_methods_that_are_left_out_take_their_constants_along() -> None:
    """`--methods` may leave out the method to which a constant belongs; baselines keep theirs."""
    text = "[[grid]]\nmethods = ['gmmc', 'moments', 'si']\noptions = {clusters = 5, epochs = 2}"
    (grid,) = override(parse_config(text, "x"), Overrides(methods=("moments", "si"))).grids
    assert (grid.methods, grid.options) == (("moments", "si"), {"epochs": 2})


def test_options_change_skills_and_students(tiny: TinyRun, tmp_path: Path) -> None:
    """Clusters and samples are paid in bytes; the ridge changes neither bytes nor cost."""
    (grid,) = tiny.config.grids
    given = [{"clusters": 1}, {"clusters": 3}, {"samples": 1}, {"samples": "all"}, {"ridge": 50}]
    grids = tuple(
        dataclasses.replace(
            grid, methods=("gmmc",) if "clusters" in one else ("maha",), options=one, agents=(1, 2)
        )
        for one in given
    )
    config, run = dataclasses.replace(tiny.config, grids=grids), tmp_path / "run"
    summary = run_bench(
        config, run, tiny.home, lambda: InProcess(run, tiny.home), log=lambda _: None
    )
    assert summary["failed"] == []
    assert len(summary["cells"]) == len(set(summary["cells"])) == 5
    rows = [r for r in summary["details"] if r["agents"] == 2 and not r["oracle"]]
    assert [row["options"] for row in rows] == given
    one, three, few, every, ridge = (row["bytes"] for row in rows)
    values = read_run(run).results[0].values
    latents = values["latent_dim"]
    train = sum(task["train"] for task in values["tasks"]) / len(values["tasks"])
    assert three - one == pytest.approx(2 * 4 * (2 * latents + 1), abs=64)
    assert every - few == pytest.approx((train - 3) * (4 * latents + 2), abs=64)
    assert few < ridge < every
    assert all(row["accuracy_validation"] is not None for row in rows)
    # No figure compares a number of clusters with a number of samples.
    assert [list(scene.alone) for scene in scenes(read_run(run))] == [
        ["gmmc"], ["gmmc"], ["maha"], ["maha"], ["maha"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods = ['maha']\noptions = {clusters = 5}", "clusters with gmmc only, .* maha"),
        ("methods = ['ncm']\noptions = {ridge = 1}", "ridge with maha only, got it with baselines"),
        ("methods = ['gmmc']\noptions = {clusters = 0}", "from 1 to 64 for 'clusters', got 0"),
        ("methods = ['gmmc']\noptions = {clusters = 2.5}", "a whole number from 1 to 64"),
        ("methods = ['gmmc']\noptions = {clusters = true}", "a whole number from 1 to 64"),
        ("methods = ['maha']\noptions = {samples = 'some'}", "1 to 1024 or 'all' for 'samples'"),
        ("methods = ['gmmc']\noptions = {variance_floor = nan}", "for 'variance_floor', got nan"),
        ("methods = ['maha']\noptions = {ridge = '1'}", "a number from .* for 'ridge', got '1'"),
        ("methods = ['gmmc']\noptions = {cluster = 5}", "got 'cluster'"),
        (
            "methods = ['gmmc']\noptions = {clusters = []}",
            "a value of option 'clusters' in 'x', got",
        ),
        (
            "methods = ['gmmc']\nagents = [1, 2]\nreal = ['gmmc']\noptions = {clusters = 5}",
            "no clusters for 'gmmc' in 'real'",
        ),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(text: str, message: str) -> None:
    """Each option has an owner and a range."""
    with pytest.raises(UsageError, match=message):
        parse_config(f"[[grid]]\n{text}", "x")
