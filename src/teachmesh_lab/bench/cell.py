"""One cell of a grid: its inputs, its result, and the two files that hold the result.

- `cells/<name>.json`: values determined by the configuration. Two runs of the same configuration
  write the same bytes.
- `timings/<name>.json`: measured seconds and bytes; never overwritten.

Each file is written under a temporary name and then renamed. The timing is written before the
result, so a cell is complete if its file in `cells` exists.
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

from teachmesh.bank.atomic import read_file
from teachmesh.bank.output_file import write_file
from teachmesh.errors import StorageError
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.evaluation.image_answers import ImageAnswers
from teachmesh_lab.streams.task_stream import StreamSpec, source_kind, source_name

if TYPE_CHECKING:
    from teachmesh_lab.bench.grid_config import Grid

CELL_SCHEMA = "teachmesh.bench-cell/1"
TIMING_SCHEMA = "teachmesh.bench-timing/1"
MEASURES = {"mapper": "mapper", "accuracy": "final", "final": "final", "oracle": "oracle"}
"""Name of each accuracy matrix of teachmesh's own methods -> its field in `metrics.Accuracies`.

The order is that of the cell files. `accuracy` is the accuracy of a method's answers, which all
methods have. For teachmesh's own methods, it equals `final`.
"""
VERSION = 7
"""Version of the results; increased when code changes alter the results of a configuration.

Cells of an older version are then computed again.
"""


class SavedCell(Protocol):
    """Inputs that determine one result and the names of its two files."""

    @property
    def schema(self) -> str:
        """Name of the schema of the result file."""

    @property
    def key(self) -> str:
        """Hash of everything that affects the result."""

    @property
    def name(self) -> str:
        """Name of the files, without extension; contains the key."""

    def to_saved_json(self) -> dict[str, Any]:
        """Return the inputs as JSON values, without local paths."""


@dataclass(frozen=True)
class Cell:
    """A single run of one method on one stream, with one seed and one number of agents.

    Attributes:
        method: name of the method.
        stream: source and order of the tasks.
        seed: seed for all random choices.
        agents: number of agents; several agents run as real processes.
        backbone: alias of the backbone.
        packing: how tasks are assigned to agents; empty for one agent.
        options: training options of a baseline, sorted by name.
        stream_digest: hash of the stream's task names, classes, labels and file sizes.
        fingerprint: fingerprint of the backbone.
        recipe: settings in the code that also affect the result (`bench_methods.recipe_of`).
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
        """Return all inputs of the cell as JSON values."""
        return asdict(self) | {"options": dict(self.options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Cell:
        """Make a cell from the values that `to_json` returned."""
        stream = dict(values["stream"])
        stream["only"] = tuple(stream["only"])
        options = tuple(sorted(dict(values["options"]).items()))
        return cls(**{**values, "stream": StreamSpec(**stream), "options": options})

    def to_saved_json(self) -> dict[str, Any]:
        """Return the values of `to_json` without local paths."""
        return dataclasses.replace(self, stream=portable(self.stream)).to_json()

    @property
    def schema(self) -> str:
        """Name of the schema of the result file."""
        return CELL_SCHEMA

    @property
    def key(self) -> str:
        """First 16 hex digits of the hash of everything that affects the result.

        The tasks and the backbone are identified by their digests, not by their folders.
        """
        values = self.to_json() | {"version": VERSION}
        for local in ("stream", "backbone"):
            del values[local]
        return hash_inputs(values)

    @property
    def name(self) -> str:
        """Name of the cell's files, without extension."""
        return f"{self.method}-{self.agents}-seed{self.seed}-{self.key}"

    @property
    def label(self) -> str:
        """Description of the cell for people."""
        return f"{self.method}, {self.agents} agents, seed {self.seed}"


@dataclass(frozen=True)
class Inputs:
    """Streams and backbone of one grid, identified by digests.

    A grid contains only the name of a folder and the alias of a backbone. Two folders may have the
    same name, and the content of a folder may change. So digests that were computed during the run
    decide which cells belong to a grid.

    Attributes:
        stream: name of the stream, for display.
        fingerprint: fingerprint of the backbone.
        digests: stream digest for each seed; the seed determines splits and drawn images.
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
        """Return JSON values that `from_json` can read."""
        digests = {str(seed): digest for seed, digest in self.digests.items()}
        return {"stream": self.stream, "fingerprint": self.fingerprint, "digests": digests}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Inputs:
        """Make inputs from the values that `to_json` returned."""
        digests = {int(seed): str(digest) for seed, digest in dict(values["digests"]).items()}
        return cls(str(values["stream"]), str(values["fingerprint"]), digests)


@dataclass(frozen=True, eq=False)
class Result:
    """A computed cell.

    Attributes:
        cell: inputs of the cell.
        values: results determined by the configuration.
        timing: measured seconds and bytes.
    """

    cell: Cell
    values: Mapping[str, Any]
    timing: Mapping[str, Any]

    def costs(self) -> list[TaskCost]:
        """Return the cost of each task."""
        return [TaskCost(**cost) for cost in self.values["costs"]]

    def matrix(self, name: str) -> np.ndarray | None:
        """Return a (T, T) matrix, NaN above the diagonal; None if not measured after every task.

        Args:
            name: kind of accuracy, one of `MEASURES`.
        """
        rows = self.values.get(name)
        if not rows or len(rows) != len(rows[-1]):
            return None
        filled = [[*row, *[float("nan")] * (len(rows) - len(row))] for row in rows]
        return np.array(filled, dtype=np.float64)

    def last(self, name: str) -> list[float] | None:
        """Return each task's accuracy after the last task was learned; None if not measured."""
        rows = self.values.get(name)
        return [float(value) for value in rows[-1]] if rows else None

    def last_mean(self, name: str) -> float:
        """Return the mean of `last`, which must have been measured."""
        values = self.last(name)
        assert values is not None
        return float(np.mean(values))

    def answers(self) -> list[ImageAnswers]:
        """Return the answers to the test images of each task; empty for older cells."""
        return [ImageAnswers.from_json(values) for values in self.values.get("answers", [])]

    def right(self, measure: str) -> dict[tuple[str, str], np.ndarray]:
        """Return (task, hash of its test images) -> (N,) bool, whether each answer is right.

        Args:
            measure: one of `image_answers.RIGHT`; the result is empty if it was not measured.
        """
        tests = self.values.get("tests", [])
        found = {}
        for position, (task, test, own) in enumerate(
            zip(self.values["tasks"], tests, self.answers(), strict=False)
        ):
            right = own.right(measure, position)
            if right is not None:
                found[str(task["name"]), str(test["images"])] = right
        return found


def hash_inputs(values: Mapping[str, Any]) -> str:
    """Return 16 hex digits of a hash of JSON values; the order of their keys does not matter."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def cell_path(run: Path, cell: SavedCell) -> Path:
    """Return the path of the file with a cell's result."""
    return run / "cells" / f"{cell.name}.json"


def timing_path(run: Path, cell: SavedCell) -> Path:
    """Return the path of the file with a cell's timing."""
    return run / "timings" / f"{cell.name}.json"


def save_cell(
    run: Path, cell: SavedCell, result: Mapping[str, Any], timing: Mapping[str, Any]
) -> None:
    """Write both files of a cell; they are on disk when this returns.

    Args:
        run: folder of the run.
        cell: inputs of the cell.
        result: results determined by the configuration.
        timing: measured seconds and bytes; not written if the timing file exists, so that
            computing a cell again changes nothing.

    Raises:
        StorageError: a file cannot be written.
    """
    if not timing_path(run, cell).exists():
        _write(timing_path(run, cell), {"schema": TIMING_SCHEMA, "key": cell.key, **timing})
    inputs = {"schema": cell.schema, "key": cell.key, "cell": cell.to_saved_json()}
    _write(cell_path(run, cell), {**inputs, **result, **inputs})


def load_results(run: Path, cells: Sequence[Cell]) -> list[Result]:
    """Read the results of the given cells that have been computed.

    Raises:
        StorageError: a file is damaged.
    """
    return [
        Result(cell, load_json(cell_path(run, cell)), load_json(timing_path(run, cell)))
        for cell in cells
        if cell_path(run, cell).exists()
    ]


def portable(stream: StreamSpec) -> StreamSpec:
    """Return the stream without local paths, because results may be published."""
    kind, _ = source_kind(stream.source)
    source = stream.source if kind in ("torchvision", "hf") else source_name(stream.source)
    return dataclasses.replace(stream, source=source, root=None)


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that a run wrote.

    Raises:
        StorageError: the file is missing or damaged.
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
