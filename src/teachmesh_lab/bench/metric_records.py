"""Every measured accuracy as a line: `metrics.jsonl` and `metrics.csv`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import write_file
from teachmesh_lab.bench.summary import Result
from teachmesh_lab.streams.task_stream import source_name

COLUMNS = (
    "method", "agents", "seed", "tasks_learned", "task", "accuracy", "oracle", "mapper", "final",
    "stream", "backbone", "cell",
)  # fmt: skip
_MEASURES = ("accuracy", "oracle", "mapper", "final")


def write_records(out: Path, results: Sequence[Result]) -> None:
    """Write one line per cell, number of learned tasks, and task asked about; costs beside it.

    Args:
        out: folder of the run.
        results: in the order of the plan.

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


def _write_costs(path: Path, result: Result) -> None:
    """What `bench simulate --tasks` reads."""
    costs = [{**cost.to_json(), "consolidation_macs": 0} for cost in result.costs()]
    # It is paid once, not per task.
    costs[0]["consolidation_macs"] = int(result.values.get("consolidation_macs", 0))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(costs[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(costs)
    path.parent.mkdir(exist_ok=True)
    write_file(path, table.getvalue().encode())


def records(result: Result) -> Iterator[dict[str, Any]]:
    """The measured accuracies of one cell; None where there is none.

    Matrices of a cell that was asked only in the end have one row.
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
                "cell": result.cell.name,
            }
