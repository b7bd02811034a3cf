"""Tasks of a simulation: the manifest, or a CSV file of sizes or of measured costs."""

from __future__ import annotations

import csv
from pathlib import Path

from skillmesh.data.names import shown
from skillmesh.errors import DataError
from skillmesh.experiments.bench.estimates import TaskSize
from skillmesh.experiments.ledger import TaskCost

_SIZES = ("name", "classes", "train")
_COSTS = ("task", "teacher_macs", "skill_bytes")


def read_task_file(path: Path) -> list[TaskSize] | list[TaskCost]:
    """Read a CSV file with a header.

    Either sizes (`name,classes,train[,validation]`) or costs (`task,teacher_macs,skill_bytes
    [,receive_macs,register_macs]`), as `costs/*.csv` of a run have them. Other columns are ignored.

    Raises:
        DataError: unreadable, other columns, no row, or something that is no number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"expected a CSV file of tasks at '{shown(str(path))}' ({error})"
        ) from error
    if not rows:
        raise DataError(f"expected at least one task in '{shown(str(path))}', got none")
    try:
        if set(_COSTS) <= set(columns):
            return [_cost(row) for row in rows]
        if set(_SIZES) <= set(columns):
            return [_size(row) for row in rows]
    except (ValueError, TypeError) as error:
        raise DataError(f"expected whole numbers in '{shown(str(path))}': {error}") from error
    raise DataError(
        f"expected the columns {','.join(_SIZES)} or {','.join(_COSTS)} in '{shown(str(path))}', "
        f"got {shown(','.join(columns))}"
    )


def _cost(row: dict[str, str]) -> TaskCost:
    return TaskCost(
        row["task"],
        int(row["teacher_macs"]),
        int(row["skill_bytes"]),
        int(row.get("receive_macs") or 0),
        int(row.get("register_macs") or 0),
    )


def _size(row: dict[str, str]) -> TaskSize:
    return TaskSize(
        row["name"], int(row["classes"]), int(row["train"]), int(row.get("validation") or 0)
    )
