"""Tasks from data sets on the Hugging Face hub: `hf:user/name` (extra `hub`).

A data set without a local copy is downloaded first. Two layouts are supported:

- parquet shards named after their split, as on the hub, with image and label columns;
- folders of image files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachmesh.errors import DataError, MissingExtraError
from teachmesh_lab.streams.stream_export import Example, export_task

_SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
_SHARD = re.compile(r"(?:^|/)(train|validation|valid|val|test)[-./][^/]*parquet$|"
                    r"(?:^|/)(train|validation|valid|val|test)/[^/]+\.parquet$")  # fmt: skip
_ROWS_PER_READ = 256


@dataclass(frozen=True)
class _Columns:
    """Names of the image and label columns, and class names in the order of their numbers."""

    image: str
    label: str
    classes: tuple[str, ...]


def hub_task(repo: str, root: Path, cache: Path, *, per_class: int | None = None) -> Path:
    """Find or download one data set from the hub, and convert it to a task.

    Args:
        repo: name of the data set on the hub, "user/name".
        root: folder with a local copy in `<root>/<user>/<name>`; a missing copy is downloaded.
        cache: parent folder of the task folder.
        per_class: number of images to keep per class and split; applies only to parquet files.

    Returns:
        A path for `read_task`.

    Raises:
        MissingExtraError: a package is not installed.
        DataError: the data set does not exist, or images or labels are missing.
    """
    folder = root / repo
    if not folder.is_dir():
        download_repository(repo, folder)
    shards = _shards(folder)
    if not shards:
        return folder  # folders of image files are already a task
    columns = _columns(next(iter(shards.values()))[0], repo)
    splits = {split: _examples(paths, columns) for split, paths in shards.items()}
    return export_task(cache, repo.replace("/", "_"), splits, per_class=per_class)


def download_repository(repo: str, folder: Path) -> None:
    """Download a data set from the hub.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        DataError: the data set cannot be downloaded.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    try:
        snapshot_download(repo, repo_type="dataset", local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise DataError(
            f"could not fetch the data set {repo!r} from the hub, and there is no copy at "
            f"'{folder}'; check the name or the network"
        ) from error


def _shards(folder: Path) -> dict[str, list[Path]]:
    """Return the sorted parquet files of each split; empty if there are none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        match = _SHARD.search(path.relative_to(folder).as_posix())
        word = (match.group(1) or match.group(2)) if match else "train"
        found.setdefault(_SPLITS[word], []).append(path)
    return found


def _parquet() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "hub") from error
    return parquet


def _columns(shard: Path, repo: str) -> _Columns:
    """Find the image and label columns by their types in the file's metadata, or by name."""
    schema = _parquet().read_schema(shard)
    stored = (schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(stored).get("info", {}).get("features", {})
    images = [n for n, f in features.items() if isinstance(f, dict) and f.get("_type") == "Image"]
    images += [name for name in ("image", "img") if name in schema.names]
    labels = [
        n for n, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"
    ]
    labels += [name for name in ("label", "labels", "fine_label") if name in schema.names]
    if not images or not labels:
        raise DataError(
            f"expected an image and a label column in {repo!r}, got {', '.join(schema.names)}"
        )
    classes = tuple(str(name) for name in features.get(labels[0], {}).get("names", ()))
    return _Columns(images[0], labels[0], classes)


def _examples(shards: Sequence[Path], columns: _Columns) -> Iterator[Example]:
    for shard in shards:
        with _parquet().ParquetFile(shard) as file:
            wanted = [columns.image, columns.label]
            for batch in file.iter_batches(batch_size=_ROWS_PER_READ, columns=wanted):
                for row in batch.to_pylist():
                    image, label = row[columns.image], row[columns.label]
                    data = image.get("bytes") if isinstance(image, dict) else image
                    if data is None or label is None:
                        continue
                    known = isinstance(label, int) and 0 <= label < len(columns.classes)
                    yield Example(columns.classes[label] if known else str(label), bytes(data))
