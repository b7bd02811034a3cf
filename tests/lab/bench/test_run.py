"""A run: rows of its summary, equal results twice, interruptions, failures."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import teachmesh_lab
from teachmesh.agent import Agent
from teachmesh.bank.home import resolve_home
from teachmesh.errors import BackboneError, StorageError
from teachmesh.model.backbone_registry import load_backbone
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.bench.baseline_options import OPTIONS
from teachmesh_lab.bench.biased_cells import run_by_agent
from teachmesh_lab.bench.compare_runs import compare_runs
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.bench.job_engine import Engine, InProcess
from teachmesh_lab.bench.jobs import make_plan
from teachmesh_lab.bench.run_folder import COLUMNS, read_run
from teachmesh_lab.bench.run_grid import run_bench
from teachmesh_lab.bench.stream_latents import task_latents
from teachmesh_lab.bench.summary import identity
from teachmesh_lab.bench.worker import Workshop
from teachmesh_lab.evaluation import bias_store
from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate
from teachmesh_lab.evaluation.image_answers import MISTAKES
from tests.conftest import write_muddled_task
from tests.lab.bench.conftest import TinyRun

FIELDS = [
    "method", "agents", "oracle", "accuracy", "mapper", "macs_teacher", "macs_student", "bytes",
    "efficiency", "speedup", "wall_s", "seeds", "network", "parameters", "size_px",
]  # fmt: skip


LAB = str(Path(teachmesh_lab.__file__).parent)


def _no_engine() -> Engine:
    raise AssertionError("nothing should be computed")


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def _alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not count."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith("Z")


def _silent(_text: str) -> None:
    """Drop a log sentence."""


def test_the_summary_has_a_row_per_method_agents_and_oracle(tiny: TinyRun) -> None:
    """The JSON file equals the returned document."""
    document = json.loads((tiny.folder / "summary.json").read_text("utf-8"))
    assert document == tiny.summary
    assert document["schema"] == "teachmesh.bench/1"
    rows = document["rows"]
    assert {(r["method"], r["agents"], r["oracle"]) for r in rows} == {
        (method, agents, oracle)
        for method in ("moments", "gmmc")
        for agents in (1, 2)
        for oracle in (False, True)
    }
    assert [list(row) for row in rows] == [FIELDS] * len(rows)
    for row in document["details"]:
        assert row["efficiency"] == pytest.approx(row["speedup"] / row["agents"])
        assert row["derived"] == (row["agents"] > 1)
        total = row["macs_teacher"] + 1000 * row["bytes"] + row["macs_student"]
        assert row["total"] == pytest.approx(total)
    details = document["details"]
    own = {r.cell.method: r.values["mapper_macs_per_image"] for r in read_run(tiny.folder).results}
    passes = load_backbone(tiny.home.backbones, "embedded").macs_per_image
    assert all(row["macs_test_per_image"] == passes + own[row["method"]] for row in details)
    assert all(row["macs_choice"] == 0 for row in details)
    assert [{name: row[name] for name in FIELDS} for row in details] == rows
    alone, many = details[0], details[2]
    assert many["speedup"] == pytest.approx(alone["total"] / many["total"])
    assert alone["bytes"] == 0 < many["bytes"]


def test_the_cell_equals_what_evaluate_says_of_the_same_tasks(tiny: TinyRun) -> None:
    """The bench's student without a bank gives the figures of an agent with a bank on disk."""
    tasks = Path(tiny.config.grids[0].stream.source)
    for method in ("moments", "gmmc"):
        options = EvaluateOptions(tasks, method=method, home=tiny.home.path, pictures=True)
        document = run_evaluate(options)
        row = next(r for r in tiny.summary["details"] if r["method"] == method and not r["oracle"])
        told = next(r for r in tiny.summary["rows"] if r["method"] == method and r["oracle"])
        mean = document["mean"]
        assert row["mapper"] == pytest.approx(mean["mapper"])
        assert row["final"] == pytest.approx(mean["final"])
        assert told["accuracy"] == pytest.approx(mean["oracle"])
        assert row["macs_teacher"] == document["cost"]["learn_macs"]
        level = document["class_level"]
        assert level["standard_error"] == pytest.approx(row["accuracy_images"])
        wrong = sum(round(c["images"] * (1 - c["right"])) for c in level["classes"])
        assert len(level["mistakes"]) == min(wrong, MISTAKES)


def test_an_agent_with_a_bank_has_the_same_curves(tiny: TinyRun) -> None:
    """A method without biases, measured like those with biases: equal matrices and costs."""
    workshop = Workshop(tiny.folder, tiny.home)
    (cell,) = [r.cell for r in read_run(tiny.folder).results if r.cell.method == "moments"]
    cell = dataclasses.replace(cell, stream=tiny.config.grids[0].stream)
    _, tasks = workshop.stream(cell.stream, cell.seed)
    backbone = workshop.backbone("embedded")
    latents = [task_latents(backbone, task, workshop.cache) for task in tasks]
    by_agent, _ = run_by_agent(cell, latents, tiny.home)
    (curve,) = [r for r in read_run(tiny.folder).results if r.cell.method == "moments"]
    for name in ("mapper", "accuracy", "final", "oracle"):
        assert by_agent[name] == curve.values[name]
    assert by_agent["tasks"] == curve.values["tasks"]
    assert by_agent["costs"] == curve.values["costs"]
    assert by_agent["consolidation_macs"] == curve.values["consolidation_macs"]


def test_every_measured_accuracy_is_a_line(tiny: TinyRun) -> None:
    """Two tasks give one line after the first and two lines after the second, per method."""
    lines = (tiny.folder / "metrics.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [(r["method"], r["tasks_learned"], r["task"]) for r in records] == [
        (method, learned, task)
        for method in ("moments", "gmmc")
        for learned, task in ((1, "cold"), (2, "cold"), (2, "warm"))
    ]
    assert all(r["mapper"] == 1.0 for r in records if r["tasks_learned"] == 1)
    with (tiny.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(records)
    assert tuple(rows[0]) == COLUMNS


def test_a_second_start_computes_nothing_and_changes_nothing(tiny: TinyRun) -> None:
    """The summary stays byte for byte."""
    before = (tiny.folder / "summary.json").read_bytes()
    run_bench(tiny.config, tiny.folder, tiny.home, _no_engine, log=_silent)
    assert (tiny.folder / "summary.json").read_bytes() == before


def test_a_cell_enters_at_most_20_files_of_the_laboratory(tiny: TinyRun, tmp_path: Path) -> None:
    """A limit for readers who follow one cell through the code; imports do not count."""
    grid = dataclasses.replace(tiny.config.grids[0], methods=("moments",), agents=(1,))
    config, entered = dataclasses.replace(tiny.config, grids=(grid,)), set[str]()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and LAB in code.co_filename:
            entered.add(code.co_filename)

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        engine = InProcess(tmp_path, tiny.home)
        run_bench(config, tmp_path, tiny.home, lambda: engine, log=_silent)
    finally:
        sys.setprofile(former)
    assert len(entered) <= 20, sorted(entered)


def test_missing_cells_only_are_computed_and_seconds_stay(tiny: TinyRun, tmp_path: Path) -> None:
    """A lost cell is computed again to equal bytes, and its first measured seconds are kept."""
    run = tmp_path / "run"
    shutil.copytree(tiny.folder, run)
    (lost,) = (run / "cells").glob("gmmc-*.json")
    content, summary = lost.read_bytes(), (run / "summary.json").read_bytes()
    lost.unlink()
    log: list[str] = []
    run_bench(tiny.config, run, tiny.home, lambda: InProcess(run, tiny.home), log=log.append)
    assert [line for line in log if line.startswith("cell")] == ["cell 1/1: gmmc, 1 agents, seed 0"]
    assert lost.read_bytes() == content
    assert (run / "summary.json").read_bytes() == summary


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_killed_in_the_middle_and_started_again_is_the_same(tiny: TinyRun, tmp_path: Path) -> None:
    """SIGKILL after the first cell leaves no worker; a second run computes the missing cells."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "teachmesh", "bench", "run", str(tiny.file)]
    command += ["--out", str(run), "--home", str(tiny.home.path), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline_s = time.monotonic() + 100
        while not list(run.glob("cells/*.json")) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        workers = _children(process.pid)
        process.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + 100
    while any(map(_alive, workers)) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not any(map(_alive, workers))
    again = run_bench(tiny.config, run, tiny.home, lambda: InProcess(run, tiny.home), log=_silent)
    assert again["identity"] == tiny.summary["identity"]
    for cell in (tiny.folder / "cells").iterdir():
        assert (run / "cells" / cell.name).read_bytes() == cell.read_bytes()
    assert (run / "metrics.jsonl").read_bytes() == (tiny.folder / "metrics.jsonl").read_bytes()
    document = compare_runs(tiny.folder, run)
    assert document["identical"] is True
    assert all(row["accuracy"][0] == row["accuracy"][1] for row in document["rows"])


def test_another_seed_or_stream_is_another_cell(tiny: TinyRun) -> None:
    """Moving the files does not change the cells."""
    (grid,) = tiny.config.grids

    def keys(changed: Grid) -> set[str]:
        config = dataclasses.replace(tiny.config, grids=(changed,))
        return {cell.key for cell in make_plan(config, tiny.home).cells}

    moved = tiny.folder.parent / "moved"
    shutil.copytree(grid.stream.source, moved)
    stream = dataclasses.replace(grid.stream, source=str(moved))
    elsewhere = dataclasses.replace(grid, stream=stream)
    assert keys(elsewhere) == keys(grid)
    assert not keys(dataclasses.replace(grid, seeds=(1,))) & keys(grid)
    (moved / "warm" / "red" / "00.png").unlink()
    assert not keys(elsewhere) & keys(grid)


def test_another_choice_in_the_code_is_another_cell(
    tiny: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidate hyper-parameters and the version of bias learning change only their own cells."""
    (grid,) = tiny.config.grids
    grid = dataclasses.replace(grid, methods=("moments", "ncm", "si", "maha+bb"), agents=(1,))
    config = dataclasses.replace(tiny.config, grids=(grid,))

    def keys() -> dict[str, str]:
        return {cell.method: cell.key for cell in make_plan(config, tiny.home).cells}

    before = keys()
    info = dataclasses.replace(BASELINES["si"], grid={"strength": (1.0, 2.0)})
    monkeypatch.setitem(BASELINES, "si", info)
    assert {method for method, key in keys().items() if key != before[method]} == {"si"}
    monkeypatch.setattr(bias_store, "VERSION", -1)
    assert {m for m, key in keys().items() if key != before[m]} == {"si", "maha+bb"}
    changed = keys()
    monkeypatch.setitem(OPTIONS, "epochs", 50)
    assert {method for method, key in keys().items() if key != changed[method]} == {"si"}


def test_the_identity_does_not_see_seconds() -> None:
    """Measured seconds do not change the identity, also in nested values; other values do."""
    document = {"rows": [{"accuracy": 0.5, "wall_s": 1.0, "wall_clock": [1]}], "identity": "x"}
    later = {"rows": [{"accuracy": 0.5, "wall_s": 2.0, "wall_clock": []}]}
    assert identity(document) == identity(later)
    assert identity(document) != identity({"rows": [{"accuracy": 0.25}]})


def test_a_cell_that_cannot_be_computed_does_not_stop_the_others(
    tiny: TinyRun, tmp_path: Path
) -> None:
    """The summary names the failed cell and the reason, and has no row for it."""

    class Broken(InProcess):
        def run(self, jobs, on_done) -> None:  # type: ignore[no-untyped-def] # as its base class
            for job in jobs:
                if job["kind"] == "cell" and job["cell"]["method"] == "gmmc":
                    on_done(job, {"ok": False, "message": "no luck", "exit_code": 4})
                else:
                    super().run([job], on_done)

    run = tmp_path / "run"
    summary = run_bench(tiny.config, run, tiny.home, lambda: Broken(run, tiny.home), log=_silent)
    assert summary["failed"] == [{"cell": "gmmc, 1 agents, seed 0", "message": "no luck"}]
    assert {row["method"] for row in summary["rows"]} == {"moments"}


def test_an_unknown_backbone_or_a_second_process_is_one_sentence(
    tiny: TinyRun, tmp_path: Path
) -> None:
    """An unknown backbone and a folder without a run are refused."""
    config = BenchConfig("x", (Grid(("moments",), tiny.config.grids[0].stream, "embeded"),))
    with pytest.raises(BackboneError, match="did you mean 'embedded'"):
        run_bench(config, tmp_path / "run", tiny.home, _no_engine, log=_silent)
    with pytest.raises(StorageError, match="could not read"):
        compare_runs(tiny.folder, tmp_path)


def test_skills_of_a_run_are_skills_of_an_agent(tiny: TinyRun, tmp_path: Path) -> None:
    """Any agent can admit the skills that the bench makes."""
    from teachmesh.data.tasks import find_tasks, read_task
    from teachmesh_lab.bench.own_cells import make_skill
    from teachmesh_lab.bench.stream_latents import task_latents
    from teachmesh_lab.evaluation.latent_cache import LatentCache

    agent = Agent(tmp_path / "home")
    path = find_tasks(tiny.config.grids[0].stream.source)[0]
    latents = task_latents(
        agent.backbone, read_task(path), LatentCache(tiny.home.cache / "latents")
    )
    _, data = make_skill("moments", latents, agent.backbone, 0)
    assert make_skill("moments", latents, agent.backbone, 0)[1] == data
    assert agent.receive(data).task == "cold"
    assert np.isfinite(latents.test.latents.multi).all()


def test_biases_are_learned_once_and_the_same_every_time(
    tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mappers share trained biases; training them again gives equal cells."""
    monkeypatch.setattr("teachmesh.biases.bias_plan.DEFAULT_PASSES", 4.0)
    (grid,) = tiny.config.grids
    folder = write_muddled_task(tmp_path, "cold").parent
    stream = dataclasses.replace(grid.stream, source=str(folder))
    grid = dataclasses.replace(grid, stream=stream, methods=("gmmc+bb", "maha+bb"))
    config = dataclasses.replace(tiny.config, grids=(grid,))
    home, run = resolve_home(tmp_path / "home"), tmp_path / "run"
    summary = run_bench(config, run, home, lambda: InProcess(run, home), log=_silent)
    assert summary["failed"] == []
    assert {(r["method"], r["agents"]) for r in summary["rows"]} == {
        (method, agents) for method in grid.methods for agents in (1, 2)
    }
    assert len(list((home.cache / "biases").iterdir())) == 1
    first = {path.name: path.read_bytes() for path in (run / "cells").iterdir()}
    shutil.rmtree(run / "cells")
    shutil.rmtree(home.cache / "biases")
    run_bench(config, run, home, lambda: InProcess(run, home), log=_silent)
    assert {path.name: path.read_bytes() for path in (run / "cells").iterdir()} == first
