"""One cell of a grid: its inputs, its result, and the two files that hold the result.

- `cells/<name>.json`: values decided by the configuration. Two runs of one configuration write the
  same bytes.
- `timings/<name>.json`: seconds and bytes that were measured. Never replaced once written.

Both files appear by rename, the timing first. So a cell whose first file exists is complete.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from teachmesh.bank.atomic import read_file, write_file
from teachmesh.errors import StorageError
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.streams.task_stream import StreamSpec, source_kind, source_name

if TYPE_CHECKING:
    from teachmesh_lab.bench.grid_config import Grid

CELL_SCHEMA = "teachmesh.bench-cell/1"
TIMING_SCHEMA = "teachmesh.bench-timing/1"
MEASURES = ("mapper", "accuracy", "final", "oracle")
"""Accuracy matrices of teachmesh's own methods, in the order of a cell's file."""
VERSION = 2
"""Increased whenever the code gives other results for the same configuration.

Cells of an older version are then computed again.
"""


class SavedCell(Protocol):
    """Inputs of one result; they decide the names of its files."""

    @property
    def schema(self) -> str:
        """Schema of the file with the result."""

    @property
    def key(self) -> str:
        """Hash of everything that decides the result."""

    @property
    def name(self) -> str:
        """Name of the files, without extension; contains the key."""

    def to_saved_json(self) -> dict[str, Any]:
        """Return the inputs as JSON values, without paths of this machine."""


@dataclass(frozen=True)
class Cell:
    """One method on one stream with one seed and a number of agents.

    Attributes:
        method: name of the method.
        stream: source and order of the tasks.
        seed: seed of everything random.
        agents: 1, or the number of real processes.
        backbone: alias of the backbone.
        packing: how tasks are assigned to agents; empty for one agent.
        options: training options of a baseline, sorted by name.
        stream_digest: hash of task names, classes, labels and file sizes.
        fingerprint: fingerprint of the backbone.
        recipe: choices in the code that also decide the result (`bench_methods.recipe_of`).
    """

    method: str
    stream: StreamSpec
    seed: int
    agents: int
    backbone: str
    packing: str
    options: tuple[tuple[str, str | int | float | bool], ...]
    stream_digest: str
    fingerprint: str
    recipe: str

    def to_json(self) -> dict[str, Any]:
        """Return everything that the cell is computed from, as JSON values."""
        return asdict(self) | {"options": dict(self.options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cell:
        """Read the values that `to_json` returned."""
        stream = dict(values["stream"])
        stream["only"] = tuple(stream["only"])
        options = tuple(sorted(dict(values["options"]).items()))
        return cls(**{**values, "stream": StreamSpec(**stream), "options": options})

    def to_saved_json(self) -> dict[str, Any]:
        """Return `to_json` without paths of this machine."""
        return dataclasses.replace(self, stream=portable(self.stream)).to_json()

    @property
    def schema(self) -> str:
        """Schema of the file with the result."""
        return CELL_SCHEMA

    @property
    def key(self) -> str:
        """16 hex digits of the hash of everything that decides the result.

        Tasks and backbone count by their digests, not by the folders that they are in.
        """
        values = self.to_json() | {"version": VERSION}
        for local in ("stream", "backbone"):
            del values[local]
        return hash_inputs(values)

    @property
    def name(self) -> str:
        """Name of the cell's files, without extension."""
        return f"{self.method}-{self.agents}-seed{self.seed}-{self.key}"


@dataclass(frozen=True)
class Inputs:
    """Streams and backbone of one grid, identified by content.

    A grid names a folder and an alias. Two folders may have the same name, and the images of a
    folder may change. So results are matched with grids by the contents at the time of the run.

    Attributes:
        stream: name of the stream, for people.
        fingerprint: fingerprint of the backbone.
        digests: seed -> digest of the stream; splits and drawn images depend on the seed.
    """

    stream: str
    fingerprint: str
    digests: Mapping[int, str]

    def belongs(self, cell: Cell, grid: Grid) -> bool:
        """Return whether a cell is part of the grid."""
        return (
            cell.seed in grid.seeds
            and cell.stream_digest == self.digests[cell.seed]
            and cell.fingerprint == self.fingerprint
            and cell.method in grid.methods
            and cell.options == grid.options_of(cell.method)
            and cell.packing in ("", grid.packing)
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads."""
        digests = {str(seed): digest for seed, digest in self.digests.items()}
        return {"stream": self.stream, "fingerprint": self.fingerprint, "digests": digests}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Inputs:
        """Read the values that `to_json` returned."""
        digests = {int(seed): str(digest) for seed, digest in dict(values["digests"]).items()}
        return cls(str(values["stream"]), str(values["fingerprint"]), digests)


@dataclass(frozen=True, eq=False)
class Result:
    """A computed cell.

    Attributes:
        cell: inputs of the cell.
        values: results that the configuration decides.
        timing: results that were measured.
    """

    cell: Cell
    values: Mapping[str, Any]
    timing: Mapping[str, Any]

    def costs(self) -> list[TaskCost]:
        """Return the cost of each task."""
        return [TaskCost(**cost) for cost in self.values["costs"]]

    def matrix(self, name: str) -> np.ndarray | None:
        """Return (T, T) accuracies, NaN above the diagonal; None if they were not measured.

        Args:
            name: one of `MEASURES`.
        """
        rows = self.values.get(name)
        if not rows or len(rows) != len(rows[-1]):
            return None
        filled = [[*row, *[float("nan")] * (len(rows) - len(row))] for row in rows]
        return np.array(filled, dtype=np.float64)

    def last(self, name: str) -> list[float] | None:
        """Return the accuracies of all tasks after the last one was learned; None without any."""
        rows = self.values.get(name)
        return [float(value) for value in rows[-1]] if rows else None


def hash_inputs(values: Mapping[str, Any]) -> str:
    """Return 16 hex digits of the hash of JSON values, whatever the order of their keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cell_path(run: Path, cell: SavedCell) -> Path:
    """Return the path of a cell's result."""
    return run / "cells" / f"{cell.name}.json"


def timing_path(run: Path, cell: SavedCell) -> Path:
    """Return the path of a cell's measurements."""
    return run / "timings" / f"{cell.name}.json"


def save_cell(
    run: Path, cell: SavedCell, result: Mapping[str, Any], timing: Mapping[str, Any]
) -> None:
    """Write both files of a cell; they are on the disk when this returns.

    Args:
        run: folder of the run.
        cell: inputs of the cell.
        result: results that the configuration decides.
        timing: results that were measured. Dropped if an earlier measurement exists, so that
            computing a cell again changes nothing.

    Raises:
        StorageError: a file cannot be written.
    """
    if not timing_path(run, cell).exists():
        _write(timing_path(run, cell), {"schema": TIMING_SCHEMA, "key": cell.key, **timing})
    inputs = {"schema": cell.schema, "key": cell.key, "cell": cell.to_saved_json()}
    _write(cell_path(run, cell), {**inputs, **result, **inputs})


def load_results(run: Path, cells: Sequence[Cell]) -> list[Result]:
    """Read those of some cells that have been computed.

    Raises:
        StorageError: a file is damaged.
    """
    return [
        Result(cell, load_json(cell_path(run, cell)), load_json(timing_path(run, cell)))
        for cell in cells
        if cell_path(run, cell).exists()
    ]


def portable(stream: StreamSpec) -> StreamSpec:
    """Return the stream without paths of this machine, because results may be published."""
    kind, _ = source_kind(stream.source)
    source = stream.source if kind in ("torchvision", "hf") else source_name(stream.source)
    return dataclasses.replace(stream, source=source, root=None)


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that a run wrote.

    Raises:
        StorageError: missing or damaged.
    """
    try:
        values = json.loads(read_file(path))
    except ValueError as error:
        raise StorageError(f"expected JSON in '{path}'; remove the file and run again") from error
    if not isinstance(values, dict):
        raise StorageError(f"expected a JSON object in '{path}'; remove the file and run again")
    return values


def _write(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"could not make {path.parent}: {error.strerror}") from error
    write_file(path, text.encode())
