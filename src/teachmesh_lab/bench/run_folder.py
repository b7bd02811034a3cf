"""Read and write the files of a run's folder.

Files are checked when they are read, because the folder may come from another machine.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from teachmesh.bank.atomic import read_file
from teachmesh.bank.output_file import write_file
from teachmesh.errors import StorageError, UsageError
from teachmesh_lab.bench.cell import CELL_SCHEMA, Cell, Inputs, Result, load_json
from teachmesh_lab.bench.grid_config import BenchConfig, check_alpha, parse_config
from teachmesh_lab.bench.summary import DETAIL, ROW, SCHEMA, summarise
from teachmesh_lab.evaluation.page_origin import environment, invocation
from teachmesh_lab.streams.task_stream import source_name

ENV_SCHEMA = "teachmesh.bench-env/1"
_LISTS = ("rows", "details", "inputs", "cells", "failed", "missing")
_OF_A_CELL = ("tasks", "needs_oracle", "parallel", "network")


COLUMNS = (
    "method", "agents", "seed", "tasks_learned", "task", "accuracy", "oracle", "mapper", "final",
    "stream", "backbone", "network", "parameters", "size_px", "cell",
)  # fmt: skip
_MEASURES = ("accuracy", "oracle", "mapper", "final")


@dataclass(frozen=True, eq=False)
class Run:
    """A run, read from its folder.

    Attributes:
        config: configuration of the run.
        inputs: streams and backbone of each grid.
        results: results of the computed cells.
        summary: content of `summary.json`.
    """

    config: BenchConfig
    inputs: tuple[Inputs, ...]
    results: tuple[Result, ...]
    summary: Mapping[str, Any]


@contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """Create the folder of a run, and lock it against other processes.

    Raises:
        StorageError: the folder cannot be created, or another process is using it.
    """
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {out}: {error.strerror}") from error
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StorageError(
            f"another process runs in '{out}'; wait for it or choose --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def read_run(run: Path, *, alpha: float | None = None) -> Run:
    """Read the configuration, results and summary of a run from its files.

    Args:
        run: folder of the run.
        alpha: multiply-accumulates per byte; None for the run's value. With any other value the
            summary is computed again, but not saved.

    Raises:
        StorageError: the folder does not contain a run, or a file is damaged.
        UsageError: alpha is not a finite number of at least 0.
    """
    if alpha is not None:
        check_alpha(alpha)
    stored = read_summary(run)
    config = read_config(run / "config.toml")
    inputs = _read_inputs(run / "summary.json", stored, config)
    # A run that still computes, or was killed, has more cells than its summary.
    later = [
        item for item in stored["missing"] if (run / "cells" / f"{item['cell']}.json").exists()
    ]
    names = [*stored["cells"], *(item["cell"] for item in later)]
    results = tuple(_read_result(run, name) for name in names)
    if alpha is None and not later:
        return Run(config, inputs, results, stored)
    missing = [item for item in stored["missing"] if item not in later]
    failed = stored["failed"]
    summary = summarise(config, inputs, results, failed, missing, alpha=alpha)
    return Run(config, inputs, results, summary)


def read_summary(run: Path) -> dict[str, Any]:
    """Read `summary.json`.

    Raises:
        StorageError: the file is missing, or was not written by this version.
    """
    path = run / "summary.json"
    stored = load_json(path)
    if not _is_summary(stored):
        raise _no_summary(path)
    return stored


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`."""
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(out / "summary.json", text.encode())


def write_records(out: Path, results: Sequence[Result]) -> None:
    """Write `metrics.jsonl`, `metrics.csv`, and the costs of each task (`costs/<cell>.csv`).

    The metrics have one line per cell, number of tasks learned so far, and measured task.

    Args:
        out: folder of the run.
        results: cells in the order of the plan.

    Raises:
        StorageError: a file cannot be written.
    """
    lines = [record for result in results for record in records(result)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_file(out / "metrics.jsonl", text.encode())
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_file(out / "metrics.csv", table.getvalue().encode())
    for result in results:
        if result.cell.agents == 1 and result.values["parallel"] == "skills":
            _write_costs(out / "costs" / f"{result.cell.name}.csv", result)


def records(result: Result) -> Iterator[dict[str, Any]]:
    """Yield one record per line of a cell's metrics; accuracies that were not measured are None.

    If a cell was measured only after the last task, its matrices have one row.
    """
    names = [task["name"] for task in result.values["tasks"]]
    known = {m: result.values[m] for m in _MEASURES if result.values.get(m) is not None}
    rows = max(len(matrix) for matrix in known.values())
    for row in range(rows):
        learned = len(names) - rows + row + 1
        for column in range(learned):
            yield {
                "method": result.cell.method,
                "agents": result.cell.agents,
                "seed": result.cell.seed,
                "tasks_learned": learned,
                "task": names[column],
                **{m: known[m][row][column] if m in known else None for m in _MEASURES},
                "stream": source_name(result.cell.stream.source),
                "backbone": result.cell.backbone,
                **result.values["network"],
                "cell": result.cell.name,
            }


def write_environment(out: Path, command: Sequence[str] | None) -> None:
    """Write `env.json`: machine, versions, and the commands that computed cells in this folder.

    Args:
        out: folder of the run.
        command: arguments of the command that is about to compute cells; None for this process's.
    """
    runs = read_environment(out).get("runs", [])
    document = {"schema": ENV_SCHEMA, **environment(), "runs": [*runs, invocation(command)]}
    write_file(out / "env.json", (json.dumps(document, indent=1) + "\n").encode())


def read_environment(run: Path) -> dict[str, Any]:
    """Return the content of `env.json`; empty if the run has no such file.

    Raises:
        StorageError: the file is damaged.
    """
    path = run / "env.json"
    return load_json(path) if path.exists() else {}


def _no_summary(path: Path) -> StorageError:
    return StorageError(
        f"expected a summary of schema {SCHEMA!r} as this version writes it in '{path}', got "
        "something else; start the run in its folder again"
    )


def _is_summary(stored: Mapping[str, Any]) -> bool:
    if stored.get("schema") != SCHEMA or not isinstance(stored.get("identity"), str):
        return False
    if not isinstance(stored.get("alpha"), int | float):
        return False
    if not all(isinstance(stored.get(key), list) for key in _LISTS):
        return False
    rows = (
        (stored["rows"], ROW),
        (stored["details"], DETAIL),
        (stored["failed"], ("cell", "message")),
        (stored["missing"], ("cell", "label")),
    )
    full = all(
        isinstance(row, dict) and set(keys) <= set(row) for table, keys in rows for row in table
    )
    return full and all(isinstance(name, str) for name in stored["cells"])


def _read_inputs(path: Path, stored: Mapping[str, Any], config: BenchConfig) -> tuple[Inputs, ...]:
    try:
        found = tuple(Inputs.from_json(item) for item in stored["inputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise _no_summary(path) from error
    if len(found) != len(config.grids) or any(
        set(item.digests) != set(grid.seeds) for item, grid in zip(found, config.grids, strict=True)
    ):
        raise _no_summary(path)
    return found


def read_config(path: Path) -> BenchConfig:
    """Read the configuration of a run.

    Raises:
        StorageError: the file is missing or damaged.
    """
    try:
        return parse_config(read_file(path).decode("utf-8"), str(path))
    except (UnicodeDecodeError, UsageError) as error:
        # In a run's folder, invalid TOML means a damaged file, not a mistake by the user.
        raise StorageError(
            f"expected the configuration of a run in '{path}', got something else ({error})"
        ) from error


def _read_result(run: Path, name: str) -> Result:
    path = run / "cells" / f"{name}.json"
    values = load_json(path)
    timing = load_json(run / "timings" / f"{name}.json")
    try:
        cell = Cell.from_json(values["cell"])
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise _no_cell(path) from error
    if values.get("schema") != CELL_SCHEMA or not set(_OF_A_CELL) <= set(values):
        raise _no_cell(path)
    return Result(cell, values, timing)


def _no_cell(path: Path) -> StorageError:
    return StorageError(
        f"expected a cell of schema {CELL_SCHEMA!r} in '{path}', got something else; remove the "
        "file and start the run again"
    )


def _write_costs(path: Path, result: Result) -> None:
    """Write the table that `bench simulate --tasks` reads."""
    costs = [{**cost.to_json(), "consolidation_macs": 0} for cost in result.costs()]
    # Consolidation happens only once, not once per task.
    costs[0]["consolidation_macs"] = int(result.values.get("consolidation_macs", 0))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(costs[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(costs)
    path.parent.mkdir(exist_ok=True)
    write_file(path, table.getvalue().encode())
