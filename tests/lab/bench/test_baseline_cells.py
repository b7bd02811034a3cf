"""Cells of baselines: matrices, costs with backbone passes, rows for one and several agents."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from teachmesh.data.tasks import find_tasks, read_task
from teachmesh.model.backbone_cards import embedded_card
from teachmesh.model.backbone_registry import load_backbone
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.bench.baseline_cells import latent_task, pixel_task, run_frozen_baseline
from teachmesh_lab.bench.baseline_estimates import trunk_size
from teachmesh_lab.bench.baseline_options import with_defaults
from teachmesh_lab.bench.bench_methods import FROZEN, TRAINED
from teachmesh_lab.bench.cell import Cell
from teachmesh_lab.bench.job_engine import InProcess
from teachmesh_lab.bench.report_sections import figure_9_text
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.bench.run_grid import run_bench
from teachmesh_lab.bench.starting_nets import starting_net
from teachmesh_lab.bench.stream_latents import TaskLatents, task_latents
from teachmesh_lab.evaluation.latent_cache import LatentCache
from teachmesh_lab.figures.figure_scene import scenes
from teachmesh_lab.figures.figure_tables import figure_9
from tests.lab.bench.conftest import TinyRun

METHODS = ("ncm", "fine-tune", "parallel-supsup", "joint")
QUICK = {"epochs": 1, "size_px": 32, "net": "small", "choice_tasks": 1}


def test_the_names_are_those_of_the_baselines() -> None:
    """The bench lists baselines without loading them; both lists must agree."""
    kinds = {name: info.kind for name, info in BASELINES.items()}
    assert kinds == dict.fromkeys(FROZEN, "frozen") | dict.fromkeys(TRAINED, "trained")


def test_baselines_have_rows_for_one_agent_and_for_many(tiny: TinyRun, tmp_path: Path) -> None:
    """Divisible methods gain from more agents; a chain and joint training lose."""
    (grid,) = tiny.config.grids
    grid = dataclasses.replace(grid, methods=METHODS, agents=(1, 2), options=QUICK)
    config = dataclasses.replace(tiny.config, grids=(grid,))
    run = tmp_path / "run"
    summary = run_bench(
        config, run, tiny.home, lambda: InProcess(run, tiny.home), log=lambda _: None
    )
    assert summary["failed"] == []
    rows = {(r["method"], r["agents"], r["oracle"]): r for r in summary["rows"]}
    assert {key[:2] for key in rows} == {(method, n) for method in METHODS for n in (1, 2)}
    assert rows["ncm", 2, False]["speedup"] > 1.5
    assert rows["parallel-supsup", 2, True]["speedup"] > 1.5
    assert rows["fine-tune", 2, True]["speedup"] < 1
    assert rows["joint", 2, True]["speedup"] < 1
    assert rows["fine-tune", 1, True]["mapper"] is None
    assert ("parallel-supsup", 1, False) not in rows
    found = read_run(run)
    results = {r.cell.method: r for r in found.results}
    matrix = results["fine-tune"].matrix("oracle")
    assert matrix is not None
    assert not np.isnan(matrix[np.tril_indices(2)]).any()
    assert results["joint"].matrix("oracle") is None
    assert len(results["joint"].last("oracle") or []) == 2
    assert results["joint"].values["settings"]["epochs"] == 1
    # In tables and figures only methods that train the whole network are told the task.
    (scene,) = scenes(found)
    told = {line[0]: line[5] for line in figure_9(scene.rows(summary["details"]))[1]}
    assert told == {m: "direct" if m == "ncm" else "oracle" for m in METHODS}
    (compared,) = scene.compared("fine-tune")
    assert np.array_equal(np.nan_to_num(compared), np.nan_to_num(matrix))
    # An answer costs a pass of the method's network and a product with heads: one head after the
    # first task, two heads for twice as many images after the second; with masks always one head.
    answers = {row["method"]: row["macs_test_per_image"] for row in summary["details"]}
    options = with_defaults(QUICK)
    own = trunk_size(starting_net("fine-tune", options, tiny.home.backbones, "embedded"))
    backbone = load_backbone(tiny.home.backbones, "embedded")
    for method, classes in (("fine-tune", (3 + 2 * 6) / 3), ("parallel-supsup", 3), ("joint", 6)):
        assert answers[method] == own.per_image.forward + own.dim * classes
    assert answers["ncm"] == backbone.macs_per_image + backbone.last_dim * (3 + 2 * 6) / 3
    text = figure_9_text(scene)
    assert "the network 'small' on images of 32 px instead of embedded" in text
    # Rows name the network that was trained, not the grid's backbone.
    networks = {row["method"]: (row["network"], row["size_px"]) for row in summary["rows"]}
    assert networks == {
        m: ("embedded", embedded_card()["size"]) if m == "ncm" else ("small", 32) for m in METHODS
    }
    assert {r["parameters"] for r in summary["rows"] if r["method"] != "ncm"} == {173_016}
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    found_in_metrics = {line["method"]: line["network"] for line in lines}
    assert found_in_metrics == {method: name for method, (name, _) in networks.items()}
    # A frozen baseline pays for the backbone's pass over training and validation images.
    seen = sum(t["train"] + t["validation"] for t in results["ncm"].values["tasks"])
    passes = backbone.macs_per_image * seen
    assert passes <= rows["ncm", 1, False]["macs_teacher"] < 1.01 * passes


@pytest.fixture(scope="module")
def latents(tiny: TinyRun) -> list[TaskLatents]:
    """Latents of both tasks, from the cache of the run."""
    backbone = load_backbone(tiny.home.backbones, "embedded")
    cache = LatentCache(tiny.home.cache / "latents")
    paths = find_tasks(tiny.config.grids[0].stream.source)
    return [task_latents(backbone, read_task(path), cache) for path in paths]


def test_the_option_choice_tasks_decides_how_many_tasks_choose(
    tiny: TinyRun, latents: list[TaskLatents]
) -> None:
    """Two tasks cost more than one to choose on, and may choose another value."""
    backbone = load_backbone(tiny.home.backbones, "embedded")
    spec = tiny.config.grids[0].stream
    spent = []
    for first in (1, 2):
        options = (("choice_tasks", first),)
        cell = Cell("slda", spec, 0, 1, "embedded", "", options, "", "", "")
        document, _ = run_frozen_baseline(cell, latents, backbone)
        spent.append(document["choice_macs"])
    assert 0 < spent[0] < spent[1]


def test_the_name_of_a_closed_form_says_which_latents_it_reads(latents: list[TaskLatents]) -> None:
    """The paper's latents without an ending, multi-depth latents with it."""
    task = latents[0]
    assert latent_task(task, "slda").train.latents is task.train.latents.last
    assert latent_task(task, "slda-multi").test.latents is task.test.latents.multi


def test_pixels_are_the_images_in_their_order(tiny: TinyRun) -> None:
    """Images have the given size, and labels keep their order."""
    task = read_task(find_tasks(tiny.config.grids[0].stream.source)[0])
    pixels = pixel_task(task, 24)
    assert pixels.train.images.shape == (len(task.train), 3, 24, 24)
    assert pixels.train.labels.tolist() == task.train.labels.tolist()
    assert pixels.train.images.std() > 10


@pytest.mark.parametrize("name", [*FROZEN, *TRAINED])
def test_every_baseline_says_where_it_comes_from(name: str) -> None:
    """Each baseline has a source that tables can name."""
    assert BASELINES[name].source
