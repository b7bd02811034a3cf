"""One cell of a grid: what it is computed from, and the two files that it leaves.

`cells/<name>.json` holds what the configuration decides: two runs of one configuration write the
same bytes. `timings/<name>.json` holds what a clock or a real network said. Both appear by rename,
the timing first, so a cell whose file is there is complete; a timing that is there is never
replaced.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
"""Accuracy matrices of a cell of teachmesh's own methods, in the order of its file."""
VERSION = 2
"""Raised whenever the same configuration gives other results: old cells are computed anew."""


@dataclass(frozen=True)
class Cell:
    """One method on one stream with one seed and a number of agents.

    Attributes:
        method: name.
        stream: the tasks.
        seed: of everything random.
        agents: 1, or N real processes.
        backbone: alias of the backbone.
        packing: how tasks are given to agents.
        options: of a baseline, sorted by name.
        stream_digest: of names, classes, labels and sizes.
        fingerprint: of the backbone.
        recipe: choices in the code that decide the result too (`bench.recipe`).
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
        """What the cell is computed from."""
        return asdict(self) | {"options": dict(self.options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cell:
        """Read what `to_json` wrote."""
        stream = dict(values["stream"])
        stream["only"] = tuple(stream["only"])
        options = tuple(sorted(dict(values["options"]).items()))
        return cls(**{**values, "stream": StreamSpec(**stream), "options": options})

    @property
    def key(self) -> str:
        """16 hex digits of the hash of everything that decides the result.

        Where tasks and backbone lie does not: their digests do.
        """
        values = self.to_json() | {"version": VERSION}
        for local in ("stream", "backbone"):
            del values[local]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Name of its files, without ending."""
        return f"{self.method}-{self.agents}-seed{self.seed}-{self.key}"


@dataclass(frozen=True)
class Inputs:
    """Of one grid.

    Attributes:
        stream: name of the stream, for people.
        fingerprint: of the backbone.
        digests: of the stream, by seed: splits and drawings depend on it.
    """

    stream: str
    fingerprint: str
    digests: Mapping[int, str]

    def belongs(self, cell: Cell, grid: Grid) -> bool:
        """Whether a cell is one of the grid."""
        return (
            cell.seed in grid.seeds
            and cell.stream_digest == self.digests[cell.seed]
            and cell.fingerprint == self.fingerprint
            and cell.method in grid.methods
            and cell.options == grid.options_of(cell.method)
            and cell.packing in ("", grid.packing)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        digests = {str(seed): digest for seed, digest in self.digests.items()}
        return {"stream": self.stream, "fingerprint": self.fingerprint, "digests": digests}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Inputs:
        """Read what `to_json` wrote."""
        digests = {int(seed): str(digest) for seed, digest in dict(values["digests"]).items()}
        return cls(str(values["stream"]), str(values["fingerprint"]), digests)


@dataclass(frozen=True, eq=False)
class Result:
    """A computed cell.

    Attributes:
        cell: what was computed.
        values: what the configuration decides.
        timing: what was measured.
    """

    cell: Cell
    values: Mapping[str, Any]
    timing: Mapping[str, Any]

    def costs(self) -> list[TaskCost]:
        """What each task cost."""
        return [TaskCost(**cost) for cost in self.values["costs"]]

    def matrix(self, name: str) -> np.ndarray | None:
        """(T, T) accuracies of a name, NaN above the diagonal; None where there are none."""
        rows = self.values.get(name)
        if rows is None or len(rows) != len(rows[-1]):
            return None
        filled = [[*row, *[float("nan")] * (len(rows) - len(row))] for row in rows]
        return np.array(filled, dtype=np.float64)

    def last(self, name: str) -> list[float] | None:
        """Accuracies of all tasks in the end."""
        rows = self.values.get(name)
        return None if rows is None else [float(value) for value in rows[-1]]


def cell_path(run: Path, cell: Cell) -> Path:
    """Where a cell's result goes."""
    return run / "cells" / f"{cell.name}.json"


def timing_path(run: Path, cell: Cell) -> Path:
    """Where a cell's measurements go."""
    return run / "timings" / f"{cell.name}.json"


def save_cell(run: Path, cell: Cell, result: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
    """Write both files of a cell; on the disk when this returns.

    Args:
        run: folder of the run.
        cell: which.
        result: what the configuration decides.
        timing: what was measured; dropped if an earlier measurement is there, so that a cell that
            is computed again changes nothing.

    Raises:
        StorageError: they cannot be written.
    """
    if not timing_path(run, cell).exists():
        _write(timing_path(run, cell), {"schema": TIMING_SCHEMA, "key": cell.key, **timing})
    portable_cell = dataclasses.replace(cell, stream=portable(cell.stream))
    document = {"schema": CELL_SCHEMA, "key": cell.key, "cell": portable_cell.to_json(), **result}
    _write(cell_path(run, cell), document)


def load_results(run: Path, cells: Sequence[Cell]) -> list[Result]:
    """The cells that are there.

    Raises:
        StorageError: a file is damaged.
    """
    return [
        Result(cell, load_json(cell_path(run, cell)), load_json(timing_path(run, cell)))
        for cell in cells
        if cell_path(run, cell).exists()
    ]


def portable(stream: StreamSpec) -> StreamSpec:
    """The stream without paths of this machine: results may be published, and moved."""
    kind, _ = source_kind(stream.source)
    source = stream.source if kind in ("torchvision", "hf") else source_name(stream.source)
    return dataclasses.replace(stream, source=source, root=None)


def load_json(path: Path) -> dict[str, Any]:
    """Read a file that a run wrote.

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
