"""Read the tasks of a simulation from a CSV file of sizes or of counted costs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from teachmesh.data.names import shown
from teachmesh.errors import DataError
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.simulation.task_estimates import TaskSize

_SIZES = ("name", "classes", "train")
_COSTS = ("task", "teacher_macs", "skill_bytes")
_MOST = 10**21
"""Largest accepted number, so that products of accepted numbers still fit into a float."""


@dataclass(frozen=True)
class CountedTasks:
    """Costs that were counted during a run.

    Attributes:
        costs: costs of each task.
        consolidation_macs: multiply-accumulates that every agent pays once it has all skills.
    """

    costs: list[TaskCost]
    consolidation_macs: int = 0


def read_task_file(path: Path) -> list[TaskSize] | CountedTasks:
    """Read the sizes or costs of tasks from a CSV file with a header.

    The file must have the columns of one of these formats; other columns are ignored:

    - sizes: `name,classes,train[,validation]`
    - costs, as in `costs/*.csv` of a run: `task,teacher_macs,skill_bytes
      [,receive_macs,register_macs,consolidation_macs]`. A run writes the
      cost of consolidation into the first row only.

    Raises:
        DataError: the file is unreadable, lacks columns or rows, or contains a value that is not
            a whole number or is out of range.
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
            once = sum(_number(row, "consolidation_macs", 0) for row in rows)
            return CountedTasks([_cost(row) for row in rows], once)
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
        _number(row, "teacher_macs", 1),
        _number(row, "skill_bytes", 0),
        _number(row, "receive_macs", 0),
        _number(row, "register_macs", 0),
    )


def _size(row: dict[str, str]) -> TaskSize:
    return TaskSize(
        row["name"],
        _number(row, "classes", 1),
        _number(row, "train", 1),
        _number(row, "validation", 0),
    )


def _number(row: dict[str, str], column: str, least: int) -> int:
    """Read a number of at least `least`; if that is 0, the cell may be missing or empty."""
    value = int(row.get(column) or 0) if least == 0 else int(row[column])
    if not least <= value <= _MOST:
        raise ValueError(f"{column} of at least {least}, got {value}")
    return value
