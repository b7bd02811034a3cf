"""The built-in stream for `paper-mini`: 21 small tasks that need no download.

It has nine tasks with real images from installed packages (`demo.demo_tasks`) and twelve drawn
tasks (`drawn_tasks`), in mixed order.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from teachmesh.errors import StorageError
from teachmesh_lab.demo.demo_tasks import write_demo_tasks
from teachmesh_lab.streams.drawn_tasks import DRAWN, write_drawn_task

VERSION = 1
"""Version of the images, part of the folder's name; increase it when the images change."""

ORDER = (
    "digits", "shapes_filled", "textures", "counting_discs", "photographs", "glyphs_straight",
    "medicine", "gratings", "sky", "patterns", "print", "hues", "travel", "places", "grey",
    "counting_bars", "faces", "glyphs_round", "roughness", "shapes_outlined", "bars",
)  # fmt: skip
"""Names of the tasks in the order of learning."""


def write_builtin(cache: Path, seed: int = 0) -> list[Path]:
    """Write the stream once; later calls reuse it.

    Args:
        cache: parent folder of the stream's folder.
        seed: seed for crops, drawings and splits.

    Returns:
        The folders of the tasks, in the order of learning.

    Raises:
        MissingExtraError: scikit-learn or scikit-image is not installed.
        StorageError: the folder cannot be written.
    """
    target = cache / f"builtin-{VERSION}-seed{seed}"
    if not target.is_dir():
        try:
            _write(cache, target, seed)
        except OSError as error:
            raise StorageError(
                f"could not write the built-in stream to {cache}: {error.strerror or error}"
            ) from error
    return [target / name for name in ORDER]


def _write(cache: Path, target: Path, seed: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=cache))
    try:
        write_demo_tasks(temporary, seed)
        for name in DRAWN:
            write_drawn_task(temporary, name, seed)
        # The rename is atomic, so a killed process leaves no incomplete stream.
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process wrote the same images
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
