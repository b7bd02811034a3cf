"""Statistics of a task as bytes, in the product's format for tensors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from teachmesh.data.pixel_digests import from_bytes, to_bytes
from teachmesh.data.splits import SplitRule
from teachmesh.data.tensor_file import read_tensors, write_tensors
from teachmesh.errors import StorageError
from teachmesh.learning.image_index import ImageIndex
from teachmesh.learning.task_rows import EdgeRows
from teachmesh.learning.task_statistics import TaskStatistics
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import TaskSums

SCHEMA = "teachmesh.task-statistics/1"
_LABEL, _STEP, _SUM = np.dtype("<i4"), np.dtype("<i2"), np.dtype("<i8")


def write_statistics(statistics: TaskStatistics) -> bytes:
    """Return the file; it depends on the statistics only.

    It takes 2 KB per image up to 512 training images, and about 5.5 MB beyond, with D = 1,024. Each
    further image takes 45 bytes.
    """
    tensors = {
        **_index(statistics.index),
        **_sample("sample", statistics.sample),
        **_sample("validation", statistics.validation),
        **_sample("edges", statistics.edges.images),
        "edges.keys": to_bytes(statistics.edges.keys),
        "edges.natural": statistics.edges.natural,
        "lacking": statistics.lacking.astype(np.uint8),
        **_sums(statistics.sums),
    }
    rule = None if statistics.rule is None else dataclasses.asdict(statistics.rule)
    document = {
        "schema": SCHEMA,
        "fingerprint": statistics.fingerprint,
        "classes": list(statistics.classes),
        "rule": rule,
        "remarks": list(statistics.remarks),
    }
    return write_tensors({**document, "checksum": _checksum(document, tensors)}, tensors)


def read_statistics(data: bytes) -> TaskStatistics:
    """Read the result of `write_statistics`.

    Raises:
        StorageError: the file is damaged, or of another kind or version.
    """
    try:
        document, tensors = read_tensors(data, SCHEMA)
        if document.pop("checksum") != _checksum(document, tensors):
            raise ValueError("its content has changed")
        return _statistics(document, tensors)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        reason = str(error) if isinstance(error, ValueError) else "its content has other parts"
        raise StorageError(
            f"expected the statistics of a task, got a file that is damaged: {reason}; learn the "
            "task again from all images with --replace"
        ) from error


def _statistics(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> TaskStatistics:
    index = ImageIndex(
        from_bytes(tensors["index.digests"]),
        _labels(tensors["index.labels"]),
        tensors["index.natural"],
        from_bytes(tensors["index.marks"]),
    )
    classes, rule = tuple(document["classes"]), document["rule"]
    keys, natural = from_bytes(tensors["edges.keys"]), tensors["edges.natural"]
    return TaskStatistics(
        document["fingerprint"],
        classes,
        index,
        _read_sample("sample", tensors),
        _read_sample("validation", tensors),
        EdgeRows(_read_sample("edges", tensors), natural, keys),
        tensors["lacking"].astype(bool),
        _read_sums(tensors, index.counts(len(classes))),
        None if rule is None else SplitRule(**rule),
        tuple(document["remarks"]),
    )


def _index(index: ImageIndex) -> dict[str, np.ndarray]:
    return {
        "index.digests": to_bytes(index.digests),
        "index.labels": _packed(index.labels, _LABEL),
        "index.natural": index.natural,
        "index.marks": to_bytes(index.marks),
    }


def _sample(name: str, sample: LatentSample) -> dict[str, np.ndarray]:
    return {
        f"{name}.rows": _packed(sample.rows, _STEP),
        f"{name}.labels": _packed(sample.labels, _LABEL),
        f"{name}.digests": to_bytes(sample.digests),
    }


def _read_sample(name: str, tensors: Mapping[str, np.ndarray]) -> LatentSample:
    rows = _unpacked(tensors[f"{name}.rows"], _STEP).astype(np.int16)
    labels = _labels(tensors[f"{name}.labels"])
    return LatentSample(rows, labels, from_bytes(tensors[f"{name}.digests"]))


def _sums(sums: TaskSums | None) -> dict[str, np.ndarray]:
    if sums is None:
        return {}
    upper = sums.products[np.triu_indices(sums.dim)]  # the matrix is symmetric
    return {
        "sums.sums": _packed(sums.sums, _SUM),
        "sums.products": _packed(upper[None], _SUM),
    }


def _read_sums(tensors: Mapping[str, np.ndarray], counts: np.ndarray) -> TaskSums | None:
    if "sums.sums" not in tensors:
        return None
    sums = _unpacked(tensors["sums.sums"], _SUM).astype(np.int64)
    dim = sums.shape[1]
    products = np.zeros((dim, dim), dtype=np.int64)
    products[np.triu_indices(dim)] = _unpacked(tensors["sums.products"], _SUM)[0]
    return TaskSums(counts.astype(np.int64), sums, products + np.triu(products, 1).T)


def _packed(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return integers as bytes: (N, M) as (N, M * size), and (N,) as (N, size)."""
    whole = np.ascontiguousarray(array, dtype=dtype)
    width = whole.shape[1] if whole.ndim == 2 else 1
    raw = np.frombuffer(whole.tobytes(), dtype=np.uint8)
    return raw.reshape(len(whole), width * dtype.itemsize)


def _unpacked(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return (N, M) integers from (N, M * size) bytes."""
    width = array.shape[1] // dtype.itemsize
    return np.frombuffer(array.tobytes(), dtype=dtype).reshape(len(array), width)


def _labels(array: np.ndarray) -> np.ndarray:
    return _unpacked(array, _LABEL)[:, 0].astype(np.int64)


def _checksum(document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name}\0{tensors[name].shape}\0".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()
