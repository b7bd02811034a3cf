"""The engine of all studies. It measures cells and saves each result, so a killed study resumes.

A study is a list of cells and a function that measures one cell. Results are saved as in the bench
(`teachmesh_lab.bench.cell`): `cells/<label>-<key>.json` has the result, `timings/` has the times.
The key is a hash of the cell's arguments and of the digests of its tasks and backbone. So a cell is
measured again when one of these changes.

`index.json` contains the current cell of every label. Cells with other keys stay in the folder, but
the tables do not show them.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from teachmesh.bank.home import Home
from teachmesh.bank.output_file import write_file
from teachmesh.data.tasks import Task, find_tasks, read_task
from teachmesh.errors import StorageError, UsageError
from teachmesh_lab.bench.cell import cell_path, hash_inputs, load_json, save_cell
from teachmesh_lab.bench.jobs import backbone_fingerprint
from teachmesh_lab.bench.run_folder import lock_folder
from teachmesh_lab.streams.task_stream import stream_digest

SCHEMA = "teachmesh.study-cell/1"
INDEX_SCHEMA = "teachmesh.study-index/1"
VERSION = 2
"""Version of the results. Increase it if the same arguments give different results."""
_NAME_BYTES = 150
"""Maximum length of a label in a file name; file systems allow names of 255 bytes."""
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
Values = dict[str, Any]
"""Result of a cell, as JSON values; it depends only on the cell's inputs."""
Log = Callable[[str], None]


@dataclass(frozen=True)
class StudyCell:
    """Inputs of one measurement (cell).

    Attributes:
        part: name of the study.
        label: part and main arguments, separated by `/`; no two current cells have the same label.
        arguments: JSON values that the measurement depends on.
        tasks_digest: hash of the tasks' names, classes, labels and image sizes (`stream_digest`);
            the images are not read.
        fingerprint: fingerprint of the backbone.
    """

    part: str
    label: str
    arguments: Mapping[str, Any]
    tasks_digest: str
    fingerprint: str

    @property
    def schema(self) -> str:
        """Schema of the file with the result."""
        return SCHEMA

    @cached_property
    def key(self) -> str:
        """First 16 hex digits of the hash of everything that affects the result."""
        return hash_inputs(asdict(self) | {"version": VERSION})

    @property
    def name(self) -> str:
        """Name of the cell's files, without extension.

        >>> cell = StudyCell("alone", "alone/3/mnist", {}, "00", "11")
        >>> cell.name == "alone-3-mnist-" + cell.key
        True
        """
        label = _NOT_IN_NAMES.sub("-", self.label).encode()[:_NAME_BYTES]
        return f"{label.decode(errors='ignore')}-{self.key}"

    def to_saved_json(self) -> dict[str, Any]:
        """Return the inputs as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Study:
    """Cells of a study, and the function that measures one cell."""

    cells: Sequence[StudyCell]
    measure: Callable[[StudyCell], Values]


@dataclass(frozen=True)
class StudyResult:
    """A measured cell.

    Attributes:
        cell: inputs of the measurement.
        values: the result.
        timing: duration of the measurement in seconds, as `wall_s` and `cpu_s`.
    """

    cell: StudyCell
    values: Values
    timing: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class StudyInputs:
    """Tasks and backbone of a study. Neither images nor weights are loaded.

    Attributes:
        tasks: tasks by name, in alphabetical order.
        fingerprint: fingerprint of the backbone.
    """

    tasks: Mapping[str, Task]
    fingerprint: str

    @classmethod
    def find(
        cls, folder: Path, home: Home, backbone: str, only: Sequence[str] | None = None
    ) -> StudyInputs:
        """Find the backbone in a home and the tasks in a folder.

        Args:
            folder: folder with one folder or archive per task.
            home: home with the backbone.
            backbone: alias of the backbone.
            only: names of the tasks to use; None for all.

        Raises:
            DataError: a task cannot be read, or `only` contains an unknown name.
            BackboneError: the backbone is unknown.
        """
        tasks = [read_task(path) for path in find_tasks(folder, only)]
        by_name = {task.name: task for task in tasks}
        return cls(by_name, backbone_fingerprint(home, backbone))

    def cell(
        self, part: str, label: Sequence[object], tasks: Sequence[str], /, **arguments: Any
    ) -> StudyCell:
        """Make a cell.

        Args:
            part: name of the study.
            label: main arguments, for display in the cell's label.
            tasks: names of the tasks that the result depends on.
            arguments: all arguments of the measurement, as JSON values.
        """
        digest = hashlib.sha256("".join(self._digests[name] for name in tasks).encode())
        path = "/".join(map(str, (part, *label)))
        return StudyCell(part, path, arguments, digest.hexdigest(), self.fingerprint)

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {name: stream_digest([task]) for name, task in self.tasks.items()}


def run_study(out: Path, study: Study, log: Log) -> None:
    """Measure the missing cells of a study.

    A study can be killed at any time and restarted; finished cells are not measured again.

    Args:
        out: folder of the cells.
        study: cells, and the function that measures them.
        log: function called with one sentence per cell.

    Raises:
        StorageError: the folder cannot be used, or another process is using it.
    """
    with lock_folder(out):
        _update_index(out, study.cells)
        missing = [cell for cell in study.cells if not cell_path(out, cell).exists()]
        log(f"{len(missing)} of {len(study.cells)} cells to measure")
        for number, cell in enumerate(missing, start=1):
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            values = study.measure(cell)
            wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            save_cell(out, cell, values, {"wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 3)})
            log(f"{number}/{len(missing)}: {cell.label} ({wall_s:.1f} s)")


def read_results(out: Path) -> list[StudyResult]:
    """Read the results of the current cells in a folder, in the order of its index.

    Raises:
        StorageError: a file is damaged.
    """
    names = _read_index(out)["cells"].values()
    return [_read_result(out, name) for name in names if (out / "cells" / f"{name}.json").exists()]


def select(results: Sequence[StudyResult], part: str, **arguments: Any) -> list[StudyResult]:
    """Return the results of one study whose cells have the given arguments."""
    return [
        result
        for result in results
        if result.cell.part == part and arguments.items() <= result.cell.arguments.items()
    ]


def select_names(
    wanted: Sequence[str] | None, known: Iterable[str], option: str
) -> tuple[str, ...]:
    """Return the names to measure: the wanted ones, or all known ones.

    Args:
        wanted: names from the command line; None for all.
        known: names that the study can measure.
        option: command line option, for the error.

    Raises:
        UsageError: the study cannot measure a wanted name.

    Example:
        >>> select_names(None, ["none", "auto"], "--choices")
        ('none', 'auto')
    """
    names = tuple(known)
    for name in wanted or ():
        if name not in names:
            raise UsageError(f"expected {option} among {', '.join(names)}, got '{name}'")
    return names if wanted is None else tuple(wanted)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def _update_index(out: Path, cells: Sequence[StudyCell]) -> None:
    """Add cells to the index, which is cleared first if the backbone has changed."""
    index = _read_index(out)
    for cell in cells:
        if index["fingerprint"] != cell.fingerprint:
            index = {**index, "fingerprint": cell.fingerprint, "cells": {}}
        index["cells"][cell.label] = cell.name
    write_file(out / "index.json", (json.dumps(index, indent=1) + "\n").encode())


def _read_index(out: Path) -> dict[str, Any]:
    path = out / "index.json"
    if not path.exists():
        return {"schema": INDEX_SCHEMA, "fingerprint": "", "cells": {}}
    index = load_json(path)
    known = isinstance(index.get("cells"), dict) and isinstance(index.get("fingerprint"), str)
    if index.get("schema") != INDEX_SCHEMA or not known:
        raise StorageError(
            f"expected an index of schema {INDEX_SCHEMA!r} in '{path}', got something else; remove "
            "the file and run the studies again (measured cells are kept)"
        )
    return index


def _read_result(out: Path, name: str) -> StudyResult:
    path = out / "cells" / f"{name}.json"
    values = load_json(path)
    try:
        cell = StudyCell(**values.pop("cell"))
    except (KeyError, TypeError) as error:
        raise StorageError(
            f"expected a cell of schema {SCHEMA!r} in '{path}', got something else; remove the "
            "file and run the study again"
        ) from error
    return StudyResult(cell, values, load_json(out / "timings" / f"{name}.json"))
