"""Rows, tables and pages, made from a run's files alone, separately for each stream and grid."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from teachmesh_lab.bench.bench_report import write_bench_report
from teachmesh_lab.bench.compare_runs import compare_runs
from teachmesh_lab.bench.job_engine import InProcess
from teachmesh_lab.bench.run_folder import read_run, write_records
from teachmesh_lab.bench.run_grid import run_bench
from teachmesh_lab.bench.summary import account_of
from teachmesh_lab.figures.figure_scene import scenes
from teachmesh_lab.figures.figure_style import save
from teachmesh_lab.figures.figure_tables import figure_9
from teachmesh_lab.figures.learning_curves import curve_drawings
from teachmesh_lab.simulation.simulate_grid import Setting, run_simulation
from teachmesh_lab.simulation.simulated_tasks import CountedTasks, read_task_file
from teachmesh_lab.streams.task_stream import StreamSpec
from tests.lab.bench.conftest import TinyRun


def _silent(_text: str) -> None:
    """Drop a log sentence."""


def test_another_alpha_changes_costs_and_nothing_else(tiny: TinyRun) -> None:
    """Another alpha needs no new cells; two agents gain more if bytes cost nothing."""
    free = {(r["method"], r["agents"]): r for r in read_run(tiny.folder, alpha=0.0).summary["rows"]}
    for row in tiny.summary["rows"]:
        other = free[row["method"], row["agents"]]
        assert other["bytes"] == row["bytes"]
        if row["agents"] > 1:
            assert other["speedup"] > row["speedup"]


def test_costs_of_a_run_can_be_simulated(tiny: TinyRun, tmp_path: Path) -> None:
    """The simulation reads the file of costs that a run writes."""
    (result,) = [r for r in read_run(tiny.folder).results if r.cell.method == "moments"]
    # Tasks as small as these need no factorisation.
    values = {**result.values, "consolidation_macs": 12_345_678}
    result = dataclasses.replace(result, values=values)
    write_records(tmp_path, [result])
    (path,) = (tmp_path / "costs").glob("moments-*.csv")
    found = read_task_file(path)
    assert isinstance(found, CountedTasks)
    assert found.costs == result.costs()
    assert found.consolidation_macs == 12_345_678
    # With one agent the simulated time equals the counted total.
    (row, *_) = run_simulation(Setting((1,), path, speeds=(1.0,)))["rows"]
    assert row["makespan_s"] == pytest.approx(account_of(result, 1, "given", 0.0).total)


def test_the_report_shows_every_figure_offline(tiny: TinyRun, tmp_path: Path) -> None:
    """The report is one file without a network address, and its figures are reproducible."""
    pytest.importorskip("matplotlib")
    run = tmp_path / "run"
    shutil.copytree(tiny.folder, run)
    page = write_bench_report(run).read_text("utf-8")
    names = {path.stem for path in (run / "figures").glob("*.svg")}
    assert names == {
        "fig02a-tasks", "fig04a-first-task-ours", "fig05-normalised", "fig06-mapper",
        "fig07-per-task", "fig08-absolute", "speedup-counted", "bytes-accuracy",
        "confusion-moments", "confusion-gmmc",
    }  # fmt: skip
    assert names == {path.stem for path in (run / "figures").glob("*.png")}
    assert page.count("<svg") == len(names)
    assert "http" not in page
    assert "Fig. 9" in page
    assert "Fig. 10" in page
    text = (run / "report.md").read_text("utf-8")
    assert all(f"figures/{name}.svg" in text for name in names)
    (scene,) = scenes(read_run(run, alpha=5.0))
    drawing = next(d for d in curve_drawings(scene) if d.name == "fig06-mapper")
    for path in save(drawing, tmp_path):
        assert path.read_bytes() == (run / "figures" / path.name).read_bytes()


def test_tables_of_costs_do_not_mix_streams(tiny: TinyRun, tmp_path: Path) -> None:
    """A second grid over fewer tasks has its own tables, relative to its own cheapest row."""
    (grid,) = tiny.config.grids
    fewer = dataclasses.replace(grid, stream=dataclasses.replace(grid.stream, limit=1))
    both = dataclasses.replace(tiny.config, grids=(grid, fewer))
    run = tmp_path / "run"
    shutil.copytree(tiny.folder, run)
    summary = run_bench(both, run, tiny.home, lambda: InProcess(run, tiny.home), log=_silent)
    first, second = scenes(read_run(run))
    assert [len(scene.rows(summary["details"])) for scene in (first, second)] == [8, 8]
    for scene in (first, second):
        rows = scene.rows(summary["details"])
        assert {row["tasks"] for row in rows} == {len(scene.tasks())}
        assert [line[0] for line in figure_9(rows)[1]] == ["moments", "gmmc"]
        assert min(float(line[2].rstrip("x")) for line in figure_9(rows)[1]) == 1


def test_rows_of_grids_with_other_options_stay_apart(tiny: TinyRun, tmp_path: Path) -> None:
    """A baseline with two learning rates gives two rows, one per cell."""
    (grid,) = tiny.config.grids
    quick = {"epochs": 1, "net": "small", "choice_tasks": 1}
    grids = tuple(
        dataclasses.replace(grid, methods=("psp",), agents=(1,), options={**quick, "rate": rate})
        for rate in (1e-3, 1e-9)
    )
    config = dataclasses.replace(tiny.config, grids=grids)
    run = tmp_path / "run"
    summary = run_bench(config, run, tiny.home, lambda: InProcess(run, tiny.home), log=_silent)
    assert len(summary["cells"]) == 2
    assert [row["seeds"] for row in summary["rows"]] == [[0], [0]]
    assert summary["rows"][0]["accuracy"] != summary["rows"][1]["accuracy"]
    # Figures, comparisons and metrics also keep them apart.
    assert [row["options"]["rate"] for row in summary["details"]] == [1e-3, 1e-9]
    first, second = scenes(read_run(run))
    assert first.title != second.title
    accuracies = [float(np.mean(scene.last("psp", "oracle"))) for scene in (first, second)]
    assert accuracies == [row["accuracy"] for row in summary["rows"]]
    compared = compare_runs(run, run)["rows"]
    assert [row["accuracy"] for row in compared] == [[a, a] for a in accuracies]
    records = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["cell"] for line in records} == set(summary["cells"])


def test_folders_of_one_name_are_two_streams(tiny: TinyRun, tmp_path: Path) -> None:
    """Streams are identified by the content of a folder, not by its name."""
    (grid,) = tiny.config.grids
    for place, name in (("a", "warm"), ("b", "cold")):
        shutil.copytree(Path(grid.stream.source) / name, tmp_path / place / "tasks" / name)
    grids = [
        dataclasses.replace(grid, methods=("ncm",), agents=(1,), stream=StreamSpec(str(source)))
        for source in (tmp_path / "a" / "tasks", tmp_path / "b" / "tasks")
    ]
    run = tmp_path / "run"
    engine = InProcess(run, tiny.home)
    config = dataclasses.replace(tiny.config, grids=tuple(grids))
    summary = run_bench(config, run, tiny.home, lambda: engine, log=_silent)
    details = [row for row in summary["details"] if not row["oracle"]]
    assert [row["seeds"] for row in details] == [[0], [0]]
    assert [row["cells"] for row in details] == [[cell] for cell in summary["cells"]]
    assert [scene.tasks() for scene in scenes(read_run(run))] == [["warm"], ["cold"]]
    assert len(compare_runs(run, run)["rows"]) == len(summary["details"])
    # Two specifications of one stream share one cell, which is in the rows of both grids.
    again = dataclasses.replace(grids[0], stream=StreamSpec(str(tmp_path / "a" / "tasks"), limit=9))
    config = dataclasses.replace(config, grids=(grids[0], again))
    summary = run_bench(config, run, tiny.home, lambda: engine, log=_silent)
    assert len(summary["cells"]) == 1
    assert [row["seeds"] for row in summary["details"]] == [[0]] * 4
