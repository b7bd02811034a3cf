"""Tasks of SKILL-102 on disk, in the layout of its authors: `skill-102:ROOT` (paper, Sec. 4).

`ROOT/0_collection/all_images.sqlite` lists every image in the table
`images(dataset, file_hash, relative_path, class_id, set_id, problem)`. Sets 0, 1 and 2 are
for training, validation and test. Rows with a problem are ignored. The path of a file is
`ROOT/<dataset>/<relative_path>`. Images are not copied: every task becomes a CSV file that lists
its images.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from teachmesh.bank.output_file import write_file
from teachmesh.errors import DataError, StorageError
from teachmesh_lab.streams.manifest import (
    MAX_CLASSES,
    MAX_TEST,
    MAX_TRAIN,
    ManifestTask,
    skill102,
)

HUB_COPY = "Harry-Li-27/SKILL"
INDEX = Path("0_collection") / "all_images.sqlite"
_SETS = (("train", MAX_TRAIN), ("validation", MAX_TEST), ("test", MAX_TEST))
_QUERY = (
    "SELECT relative_path, class_id, set_id FROM images WHERE dataset = ? AND problem = 0 "
    "ORDER BY relative_path"
)

Row = tuple[str, int, int]  # relative path, class, set


def skill102_tasks(
    root: Path, cache: Path, tasks: Sequence[ManifestTask] | None = None
) -> list[Path]:
    """Write one CSV file for each available task, in the paper's order.

    The limits of the authors' loader apply: 500 classes, 54,000 training, 6,000 validation and
    6,000 test images per task, with an equal number per class. Images are selected by a hash
    of their paths, so the selection is identical on every machine.

    Args:
        root: folder with `0_collection`, or its parent folder.
        cache: folder for the CSV files.
        tasks: manifest entries of the tasks to write; the paper's 102 tasks by default.

    Returns:
        The paths of the CSV files.

    Raises:
        DataError: the index is missing, has another layout, or lists none of the tasks.
    """
    root = _find_root(root)
    target = cache / f"skill-102-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
    target.mkdir(parents=True, exist_ok=True)
    found = []
    try:
        with contextlib.closing(_connect(root / INDEX)) as index:
            for task in tasks if tasks is not None else skill102():
                rows = index.execute(_QUERY, (task.name,)).fetchall()
                if not rows:
                    continue
                path = target / f"{task.name}.csv"
                write_file(path, _csv(root / task.name, cap(rows)).encode("utf-8"))
                found.append(path)
    except sqlite3.Error as error:
        raise DataError(
            f"expected the index of SKILL-102 at '{root / INDEX}', got a file that cannot be read "
            f"({error})"
        ) from error
    if not found:
        raise DataError(f"expected tasks of SKILL-102 in '{root / INDEX}', found none of them")
    return found


def cap(rows: Iterable[Row]) -> list[Row]:
    """Limit the numbers of classes and images in the rows of one task.

    Args:
        rows: one (relative path, class, set) tuple per image.

    Returns:
        The rows to use, sorted by set, class and path.
    """
    by_set: dict[int, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_set[row[2]][row[1]].append(row)
    used = set(sorted(by_set[0])[:MAX_CLASSES])
    kept: list[Row] = []
    for number, (_, limit) in enumerate(_SETS):
        classes = {c: members for c, members in by_set[number].items() if c in used}
        total = sum(len(members) for members in classes.values())
        share = round(limit / len(used)) if total > limit else total
        for label in sorted(classes):
            ranked = sorted(classes[label], key=lambda row: _rank(row[0]))
            kept.extend(sorted(ranked[:share]))
    return kept


def fetch_hub_copy(folder: Path) -> Path:
    """Download the hub copy of SKILL-102 (about 1.6 TB) and return its folder.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        DataError: the data set cannot be downloaded.
    """
    from teachmesh_lab.streams.hub_stream import download_repository

    target = folder / HUB_COPY
    if not target.is_dir():
        download_repository(HUB_COPY, target)
    return target


def _find_root(root: Path) -> Path:
    inside: list[Path] = sorted(root.iterdir()) if root.is_dir() else []
    for candidate in [root, *inside]:
        if (candidate / INDEX).is_file():
            return candidate
    packed = [*root.glob("*.zip"), *root.glob("*.z01")] if root.is_dir() else []
    hint = f"; unpack '{packed[0].name}' first" if packed else ""
    raise DataError(f"expected SKILL-102 with the index '{INDEX}' in '{root}', found none{hint}")


def _connect(path: Path) -> sqlite3.Connection:
    try:
        # Opened for reading only, because the data set may be on a read-only disk.
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise StorageError(f"could not open '{path}': {error}") from error


def _rank(path: str) -> bytes:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest()


def _csv(folder: Path, rows: Sequence[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split"])
    for path, label, number in rows:
        writer.writerow([(folder / path).absolute().as_posix(), f"class {label}", _SETS[number][0]])
    return text.getvalue()
