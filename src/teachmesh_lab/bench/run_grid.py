"""One run of the bench: plan the cells, compute the missing ones, write the summary."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import write_file
from teachmesh.bank.home import Home
from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh_lab.bench.cell import load_results
from teachmesh_lab.bench.grid_config import BenchConfig
from teachmesh_lab.bench.job_engine import Answer, Engine, InProcess, Processes
from teachmesh_lab.bench.jobs import Job, Plan, make_plan
from teachmesh_lab.bench.run_folder import environment, lock_folder, write_records, write_summary
from teachmesh_lab.bench.summary import summarise

ENGINES = ("local", "ray")
Log = Callable[[str], None]


def run_bench(
    config: BenchConfig, out: Path, home: Home, make_engine: Callable[[], Engine], *, log: Log
) -> dict[str, Any]:
    """Compute the missing cells, then write the summary and the other files of the run.

    A run can be killed at any time and restarted; finished cells are not computed again.

    Args:
        config: configuration of the run.
        out: folder of the run.
        home: home whose backbones and caches are used.
        make_engine: function that makes the engine for the jobs; called only if there are jobs.
        log: function called with one sentence per step.

    Returns:
        The content of `summary.json`.

    Raises:
        DataError: a stream cannot be used.
        StorageError: the folder cannot be used, or another process is using it.
    """
    with lock_folder(out):
        return _run(config, out, home, make_engine, log)


def check_engine(name: str) -> None:
    """Check the name of an engine, but not that its packages are installed.

    Raises:
        UsageError: an unknown engine.
    """
    if name not in ENGINES:
        raise UsageError(
            f"expected an engine out of {', '.join(ENGINES)}, got {name!r}"
            f"{did_you_mean(name, ENGINES)}"
        )


def make_engine(name: str, run: Path, home: Home, workers: int | None) -> Engine:
    """Make the engine with a given name.

    Args:
        name: "local" or "ray".
        run: folder of the run.
        home: home whose backbones and caches are used.
        workers: number of workers; one per core by default.

    Raises:
        UsageError: an unknown engine or fewer than one worker.
        MissingExtraError: Ray is not installed.
    """
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 1:
        raise UsageError(f"expected at least one worker, got {count}")
    check_engine(name)
    if name == "ray":
        from teachmesh_lab.bench.ray_engine import RayEngine

        return RayEngine(run, home, count)
    return InProcess(run, home) if count == 1 else Processes(run, home, count)


def _run(
    config: BenchConfig, out: Path, home: Home, make_engine: Callable[[], Engine], log: Log
) -> dict[str, Any]:
    plan = make_plan(config, home)
    write_file(out / "config.toml", config.to_toml().encode())
    failed = _compute(plan, out, make_engine, log)
    results = load_results(out, plan.cells)
    summary = summarise(config, plan.inputs, results, failed)
    write_records(out, results)
    write_summary(out, summary)
    shutil.rmtree(out / "scratch", ignore_errors=True)
    return summary


def _compute(
    plan: Plan, out: Path, make_engine: Callable[[], Engine], log: Log
) -> list[dict[str, str]]:
    """Compute the missing cells; return the label and error message of each failed cell."""
    missing = plan.cell_jobs(out) + plan.real_jobs(out)
    if not missing:
        log(f"all {len(plan.cells)} cells are computed already")
        return []
    env = json.dumps(environment(), indent=1) + "\n"
    write_file(out / "env.json", env.encode())
    log(f"{len(missing)} of {len(plan.cells)} cells to compute")
    engine = make_engine()
    failures: list[dict[str, str]] = []

    def phase(title: str, jobs: Sequence[Job]) -> None:
        count = 0

        def done(job: Job, answer: Answer) -> None:
            nonlocal count
            count += 1
            label = _label(job)
            if answer["ok"]:
                log(f"{title} {count}/{len(jobs)}: {label}")
                return
            log(f"{title} {count}/{len(jobs)}: {label} failed: {answer['message']}")
            if job["kind"] == "cell":
                failures.append({"cell": label, "message": str(answer["message"])})

        if jobs:
            engine.run(jobs, done)

    phase("latents", _needed(plan, missing, out))
    phase("cell", plan.cell_jobs(out))
    for job in plan.real_jobs(out):  # one at a time, because they are timed
        phase("agents", [job])
    return sorted(failures, key=lambda item: item["cell"])


def _needed(plan: Plan, missing: Sequence[Job], out: Path) -> list[Job]:
    """Return the embedding jobs on which the missing cells depend."""
    wanted = {
        f"{job['cell']['stream_digest'][:12]}-{job['cell']['fingerprint'][:12]}" for job in missing
    }
    return [
        job
        for job in plan.embeddings
        if Path(job["record"]).parent.name in wanted and not (out / job["record"]).exists()
    ]


def _label(job: Job) -> str:
    if job["kind"] == "embed":
        return f"{job['task']} ({job['backbone']}, seed {job['seed']})"
    cell = job["cell"]
    return f"{cell['method']}, {cell['agents']} agents, seed {cell['seed']}"
