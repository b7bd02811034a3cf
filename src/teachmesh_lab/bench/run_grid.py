"""One run of the bench: plan the cells, compute the missing ones, write the summary."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from teachmesh.bank.home import Home
from teachmesh.bank.output_file import write_file
from teachmesh.data.names import did_you_mean
from teachmesh.errors import BackboneError, DataError, UsageError
from teachmesh_lab.bench.bench_methods import constants_of
from teachmesh_lab.bench.cell import Cell, load_results
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.bench.job_engine import Answer, Engine, InProcess, Processes
from teachmesh_lab.bench.jobs import Job, Plan, make_plan
from teachmesh_lab.bench.run_folder import (
    lock_folder,
    read_config,
    write_environment,
    write_records,
    write_summary,
)
from teachmesh_lab.bench.summary import summarise

ENGINES = ("local", "ray")
Log = Callable[[str], None]


def run_bench(
    config: BenchConfig,
    out: Path,
    home: Home,
    make_engine: Callable[[], Engine],
    *,
    log: Log,
    only: bool = False,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Compute the missing cells, then write the summary and the other files of the run.

    A run can be killed at any time and restarted; finished cells are not computed again. The
    summary also keeps the grids of earlier runs in the folder.

    Args:
        config: configuration of the run.
        out: folder of the run.
        home: home whose backbones and caches are used.
        make_engine: function that makes the engine for the jobs; called only if there are jobs.
        log: function called with one sentence per step.
        only: leave earlier runs in the folder out of the summary.
        command: arguments of the command for `env.json`; those of this process by default.

    Returns:
        The content of `summary.json`.

    Raises:
        DataError: a stream cannot be used.
        StorageError: the folder cannot be used, or another process is using it.
    """
    with lock_folder(out):
        whole = config if only else _with_earlier(config, out)
        plan = make_plan(config, home)
        total = plan if whole == config else _plan_whole(whole, home)
        write_file(out / "config.toml", whole.to_toml().encode())
        _write(whole, total, out)  # a report can be written before the run ends
        failed = _compute(plan, out, make_engine, log, command)
        summary = _write(whole, total, out, failed)
        shutil.rmtree(out / "scratch", ignore_errors=True)
        return summary


def join_grids(earlier: Sequence[Grid], now: Sequence[Grid]) -> tuple[Grid, ...]:
    """Add the grids of a run to those of earlier runs in the same folder.

    Grids that differ only in their methods, and in options that these methods use, become one
    grid. An earlier grid that is part of a new one is dropped.

    Args:
        earlier: grids of the earlier runs.
        now: grids of this run.
    """
    rest, joined = list(now), list[Grid]()
    for old in earlier:
        found = next(((g, both) for g in rest if (both := _joined(old, g)) is not None), None)
        if found is not None:
            rest.remove(found[0])
            joined.append(found[1])
        elif not any(_part_of(old, grid) for grid in now):
            joined.append(old)
    return (*joined, *rest)


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


def make_engine(
    name: str, run: Path, home: Home, workers: int | None, device: str = "cpu"
) -> Engine:
    """Make the engine with a given name.

    Args:
        name: "local" or "ray".
        run: folder of the run.
        home: home whose backbones and caches are used.
        workers: number of workers; one per core by default.
        device: device of all networks.

    Raises:
        UsageError: an unknown engine or fewer than one worker.
        DeviceError: the device of the local engine is unknown or not available.
        MissingExtraError: Ray is not installed.
    """
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 1:
        raise UsageError(f"expected at least one worker, got {count}")
    check_engine(name)
    if name == "ray":
        from teachmesh_lab.bench.ray_engine import RayEngine

        return RayEngine(run, home, count, device)
    # Imported here because a run without missing cells needs no torch.
    from teachmesh.model.build_backbone import choose_device

    chosen = str(choose_device(device))  # an error here is shown once, not once per job
    if count == 1:
        return InProcess(run, home, chosen)
    return Processes(run, home, count, chosen)


def _joined(old: Grid, new: Grid) -> Grid | None:
    """Return the cells of two grids as one grid; None if they differ in more than methods."""
    if not _alike(old, new, ("methods", "real", "options")):
        return None
    if constants_of(old.options) != constants_of(new.options):
        return None
    both = dataclasses.replace(
        old,
        methods=tuple(dict.fromkeys((*old.methods, *new.methods))),
        real=tuple(dict.fromkeys((*old.real, *new.real))),
        options={**old.options, **new.options},
    )
    same = all(
        both.options_of(method) == grid.options_of(method)
        for grid in (old, new)
        for method in grid.methods
    )
    return both if same else None


def _alike(one: Grid, other: Grid, but: Collection[str]) -> bool:
    """Return whether two grids are equal but for the named fields."""
    names = {field.name for field in dataclasses.fields(Grid)} - set(but)
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _part_of(old: Grid, new: Grid) -> bool:
    """Return whether all cells of a grid are cells of another one."""
    several = ("methods", "real", "seeds", "agents")
    return (
        _alike(old, new, (*several, "options"))
        and all(set(getattr(old, name)) <= set(getattr(new, name)) for name in several)
        and all(old.options_of(method) == new.options_of(method) for method in old.methods)
    )


def _with_earlier(config: BenchConfig, out: Path) -> BenchConfig:
    """Return the configuration together with that of the earlier runs in its folder."""
    if not (out / "config.toml").exists():
        return config
    earlier = read_config(out / "config.toml")
    grids = join_grids(earlier.grids, config.grids)
    if all(grid in config.grids for grid in grids):
        return config
    if all(grid in earlier.grids for grid in grids):
        return dataclasses.replace(earlier, alpha=config.alpha)
    return dataclasses.replace(config, grids=grids, about="", expected="")


def _plan_whole(whole: BenchConfig, home: Home) -> Plan:
    try:
        return make_plan(whole, home)
    except (DataError, BackboneError) as error:
        raise type(error)(
            f"{error}; an earlier run in this folder needs it: choose another --out, or leave the "
            "earlier run out with --only"
        ) from error


def _write(
    config: BenchConfig, plan: Plan, out: Path, failed: Sequence[dict[str, str]] = ()
) -> dict[str, Any]:
    """Write the summary and the metrics of the cells that are computed already."""
    results = load_results(out, plan.cells)
    known = {result.cell.name for result in results}
    missing = [
        {"cell": cell.name, "label": cell.label} for cell in plan.cells if cell.name not in known
    ]
    summary = summarise(config, plan.inputs, results, failed, missing)
    write_records(out, results)
    write_summary(out, summary)
    return summary


def _compute(
    plan: Plan,
    out: Path,
    make_engine: Callable[[], Engine],
    log: Log,
    command: Sequence[str] | None,
) -> list[dict[str, str]]:
    """Compute the missing cells; return the label and error message of each failed cell."""
    missing = plan.cell_jobs(out) + plan.real_jobs(out)
    if not missing:
        log(f"all {len(plan.cells)} cells are computed already")
        return []
    write_environment(out, command)
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
    return Cell.from_json(cell).label
