"""What lies in a run's folder, read back and checked: a folder may come from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import read_file
from teachmesh.errors import StorageError, UsageError
from teachmesh_lab.bench.cell import CELL_SCHEMA, Cell, load_json
from teachmesh_lab.bench.grid_config import BenchConfig, check_alpha, parse_config
from teachmesh_lab.bench.grid_inputs import Inputs
from teachmesh_lab.bench.summary import DETAIL, ROW, SCHEMA, Result, summarise

_LISTS = ("rows", "details", "inputs", "cells", "failed")
_OF_A_CELL = ("tasks", "needs_oracle", "parallel")


@dataclass(frozen=True, eq=False)
class Run:
    """A run that was computed.

    Attributes:
        config: what was compared.
        inputs: of its grids, one each.
        results: its cells.
        summary: the document of `summary.json`.
    """

    config: BenchConfig
    inputs: tuple[Inputs, ...]
    results: tuple[Result, ...]
    summary: Mapping[str, Any]


def read_run(run: Path, *, alpha: float | None = None) -> Run:
    """Configuration, results and summary of a run, from its files alone.

    Args:
        run: its folder.
        alpha: multiply-accumulates per byte; default the run's. With another one the summary is
            made anew.

    Raises:
        StorageError: it is no run, or a file of it is damaged.
        UsageError: an alpha that makes no sense.
    """
    if alpha is not None:
        check_alpha(alpha)
    stored = read_summary(run)
    config = _read_config(run / "config.toml")
    inputs = _read_inputs(run / "summary.json", stored, config)
    results = tuple(_read_result(run, name) for name in stored["cells"])
    if alpha is None:
        return Run(config, inputs, results, stored)
    summary = summarise(config, inputs, results, stored["failed"], alpha=alpha)
    return Run(config, inputs, results, summary)


def read_summary(run: Path) -> dict[str, Any]:
    """The document of `summary.json`.

    Raises:
        StorageError: it is not there, or not one that this version wrote.
    """
    path = run / "summary.json"
    stored = load_json(path)
    if not _is_summary(stored):
        raise _no_summary(path)
    return stored


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


def _read_config(path: Path) -> BenchConfig:
    try:
        return parse_config(read_file(path).decode("utf-8"), str(path))
    except (UnicodeDecodeError, UsageError) as error:
        # In a run's folder it is not a person's text with a mistake, but a file that was damaged.
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
