"""Rows, tables and pages, made from a run's files alone, separately for each stream and grid."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from teachmesh_lab.bench.bench_report import all_sections, write_bench_report, write_tables
from teachmesh_lab.bench.compare_runs import compare_runs
from teachmesh_lab.bench.grid_config import Grid, Overrides, load_config, override
from teachmesh_lab.bench.job_engine import InProcess
from teachmesh_lab.bench.run_folder import read_run, write_records
from teachmesh_lab.bench.run_grid import join_grids, run_bench
from teachmesh_lab.bench.summary import account_of
from teachmesh_lab.figures.figure_scene import scenes
from teachmesh_lab.figures.figure_style import Drawing, plot, save
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
    page = write_bench_report(run, latex=True).read_text("utf-8")
    assert (run / "tables" / "results.tex").exists()
    names = {path.stem for path in (run / "figures").glob("*.svg")}
    assert names == {
        "fig02a-tasks", "fig04a-first-task-ours", "fig05-normalised", "fig06-mapper",
        "fig07-per-task", "fig08-absolute", "speedup-counted", "bytes-accuracy",
        "confusion-moments", "confusion-gmmc", "calibration",
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
    quick = {"epochs": 1, "net": "small"}
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
    summary = run_bench(config, run, tiny.home, lambda: engine, log=_silent, only=True)
    assert len(summary["cells"]) == 1
    assert [row["seeds"] for row in summary["details"]] == [[0]] * 4


def test_a_second_run_in_a_folder_adds_its_methods(tiny: TinyRun, tmp_path: Path) -> None:
    """The summary keeps the rows of the first run, unless only those of the second are wanted."""
    (grid,) = tiny.config.grids
    run = tmp_path / "run"
    shutil.copytree(tiny.folder, run)
    before = read_run(run).summary
    config = dataclasses.replace(
        tiny.config, grids=(dataclasses.replace(grid, methods=("ncm",), agents=(1, 2)),)
    )
    engine = InProcess(run, tiny.home)
    both = run_bench(config, run, tiny.home, lambda: engine, log=_silent)
    assert both["rows"][: len(before["rows"])] == before["rows"]
    assert {row["method"] for row in both["rows"]} == {"moments", "gmmc", "ncm"}
    (scene,) = scenes(read_run(run))
    assert list(scene.alone) == ["moments", "gmmc", "ncm"]
    # The first command again changes nothing, and computes nothing.
    same = run_bench(tiny.config, run, tiny.home, lambda: engine, log=_silent)
    assert same["identity"] == both["identity"]
    alone = run_bench(config, run, tiny.home, lambda: engine, log=_silent, only=True)
    assert {row["method"] for row in alone["rows"]} == {"ncm"}
    assert len(json.loads((run / "env.json").read_text("utf-8"))["runs"]) == 2


def test_grids_are_joined_if_only_their_methods_differ() -> None:
    """More seeds replace a grid that is part of them; other tasks stay apart."""
    one = Grid(("moments",), seeds=(0,))
    assert join_grids([one], [one]) == (one,)
    other = dataclasses.replace(one, methods=("ncm", "moments"))
    (joined,) = join_grids([one], [other])
    assert joined.methods == ("moments", "ncm")
    more = dataclasses.replace(one, seeds=(0, 1))
    assert join_grids([one], [more]) == (more,)
    assert join_grids([more], [one]) == (more, one)
    elsewhere = dataclasses.replace(one, stream=StreamSpec("folder"))
    assert join_grids([one], [elsewhere]) == (one, elsewhere)


def test_an_unfinished_run_has_a_report_that_names_the_missing_cells(
    tiny: TinyRun, tmp_path: Path
) -> None:
    """A run stopped after its first cell has a summary; later cells appear without a new run."""

    class Stopped(InProcess):
        def run(self, jobs, on_done) -> None:  # type: ignore[no-untyped-def] # as its base class
            cells = jobs[0]["kind"] == "cell"
            super().run(jobs[:1] if cells else jobs, on_done)
            if cells:
                raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_bench(tiny.config, run, tiny.home, lambda: Stopped(run, tiny.home), log=_silent)
    found = read_run(run)
    assert [result.cell.method for result in found.results] == ["moments"]
    assert [item["label"] for item in found.summary["missing"]] == ["gmmc, 1 agents, seed 0"]
    assert {row["method"] for row in found.summary["rows"]} == {"moments"}
    first = all_sections(found, run)[0]
    assert first.title == "Unfinished"
    assert "1 cells have no result" in first.text
    assert first.table == (["missing cell"], [["gmmc, 1 agents, seed 0"]])
    for name in ("cells", "timings"):
        (lost,) = (tiny.folder / name).glob("gmmc-*.json")
        shutil.copy(lost, run / name)
    whole = read_run(run)
    assert whole.summary["missing"] == []
    assert whole.summary["identity"] == tiny.summary["identity"]


def test_tables_and_figures_are_ready_for_a_paper(tiny: TinyRun, tmp_path: Path) -> None:
    """Every table is LaTeX and CSV, every figure PDF and PNG with 300 dpi; all are reproducible."""
    pytest.importorskip("matplotlib")
    run = tmp_path / "run"
    shutil.copytree(tiny.folder, run)
    write_tables(all_sections(read_run(run), run), run / "tables", latex=True, as_csv=True)
    tables = {path.stem for path in (run / "tables").glob("*.tex")}
    assert {"results", "what-was-run", "fig-9-one-agent", "ranks-over-tasks-oracle"} <= tables
    assert tables == {path.stem for path in (run / "tables").glob("*.csv")}
    with (run / "tables" / "results.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert [row[0] for row in rows[:2]] == ["moments", "moments"]
    assert dict(zip(header, rows[0], strict=True))["± seeds"] == "n = 1"
    text = (run / "tables" / "results.tex").read_text("utf-8")
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in lines} == {len(header) - 1}
    assert not re.search(r"(?<!\\)[%_#]", "".join(lines))
    drawing = Drawing("small", "", "", lambda: plot(2, 2)[0])
    first = [path.read_bytes() for path in save(drawing, tmp_path / "a", for_print=True)]
    again = save(drawing, tmp_path / "b", for_print=True)
    assert [path.suffix for path in again] == [".svg", ".png", ".pdf"]
    assert first == [path.read_bytes() for path in again]
    assert int.from_bytes(first[1][16:20], "big") == 2 * 300  # width of the PNG file


def test_the_report_describes_what_was_run(tiny: TinyRun) -> None:
    """Other tasks, seeds or methods take the preset's description and expectations away."""
    mine = override(load_config("paper-mini"), Overrides(source="/somewhere/else"))
    assert (mine.about, mine.expected) == ("", "")
    assert load_config("paper-mini").about
    assert override(load_config("paper-mini"), Overrides()) == load_config("paper-mini")
    sections = {
        section.title: section for section in all_sections(read_run(tiny.folder), tiny.folder)
    }
    run = sections["What was run"]
    assert run.table is not None
    assert run.table[1] == [
        ["tasks", "2", "6", "56", "7", "given", "1 (0)", "embedded", "2", "defaults"]
    ]
    assert all(f"{word}: " in run.text for word in ("mapper", "oracle", "final", "direct"))
    origin = sections["Origin"].table
    assert origin is not None
    assert {"processor", "teachmesh", "packages"} <= {row[0] for row in origin[1]}


def test_rows_state_seeds_and_errors_of_the_images(tiny: TinyRun) -> None:
    """Details have the number of test images and their error; one seed has no deviation."""
    for row in tiny.summary["details"]:
        assert row["seeds"] == [0]
        assert row["test_images"] == 7
        assert (row["accuracy_sd"], row["accuracy_95"]) == (None, None)
        assert row["measure"] == ("oracle" if row["oracle"] else "final")
        share = row["accuracy"]
        # Two tasks with at least three images each, so this is a bound.
        assert 0 <= row["accuracy_images"] <= np.sqrt(share * (1 - share) / 6) + 1e-9
