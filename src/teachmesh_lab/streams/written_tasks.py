"""Built-in tasks as folders of pictures, for people who have no photos at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from teachmesh.errors import StorageError, UsageError
from teachmesh_lab.demo.demo_tasks import write_demo_task
from teachmesh_lab.streams.builtin_stream import ORDER
from teachmesh_lab.streams.drawn_tasks import DRAWN, write_drawn_task


def write_tasks(folder: Path, names: Sequence[str] = ORDER, seed: int = 0) -> list[Path]:
    """Write built-in tasks, with images `<folder>/<name>/{train,val,test}/<class>/<n>.png`.

    Args:
        folder: parent folder of the tasks; created if it does not exist.
        names: names of the tasks; all 21 by default.
        seed: seed for crops, drawings and splits.

    Returns:
        The folders of the tasks, in the given order.

    Raises:
        UsageError: a name is unknown, or a folder of this name exists.
        MissingExtraError: scikit-learn or scikit-image is not installed, and a task needs it.
        StorageError: the folder cannot be written.
    """
    for name in names:
        if name not in ORDER:
            raise UsageError(f"expected names of {', '.join(sorted(ORDER))}, got {name!r}")
        if (folder / name).exists():
            raise UsageError(f"expected no folder {folder / name}, got one; choose another folder")
    return [_write(folder, name, seed) for name in names]


def _write(folder: Path, name: str, seed: int) -> Path:
    try:
        if name in DRAWN:
            return write_drawn_task(folder, name, seed)
        return write_demo_task(folder, name, seed)
    except OSError as error:
        raise StorageError(
            f"could not write the task {name} to {folder}: {error.strerror or error}"
        ) from error
