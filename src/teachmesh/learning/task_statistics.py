"""Private statistics of one task, from which it can grow without its images.

They hold exact sums of latents and a bounded sample, under the names of the classes. An agent keeps
them in its home and never sends them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from teachmesh.errors import DataError, StorageError
from teachmesh.mapping.latent_sample import LatentSample
from teachmesh.mapping.task_sums import TaskSums

SCHEMA = "teachmesh.task-statistics/1"


@dataclass(frozen=True, eq=False)
class TaskStatistics:
    """Sums and a sample of the latents of one task.

    Attributes:
        fingerprint: fingerprint of the backbone that computed the latents.
        classes: names of the C classes, sorted.
        sums: exact sums of the training images.
        sample: latents of the training images with the smallest hashes.
    """

    fingerprint: str
    classes: tuple[str, ...]
    sums: TaskSums
    sample: LatentSample

    @classmethod
    def of(
        cls,
        fingerprint: str,
        classes: Sequence[str],
        latents: np.ndarray,
        labels: np.ndarray,
        digests: np.ndarray,
    ) -> TaskStatistics:
        """Summarise some training images.

        Args:
            fingerprint: fingerprint of the backbone.
            classes: names of the classes, in label order.
            latents: (N, D) float32 multi-depth latents.
            labels: (N,) int64 class of each image.
            digests: (N,) hash of each image's content, bytes of equal length.
        """
        sums = TaskSums.of(latents, labels, len(classes))
        sample = LatentSample.of(latents, labels, digests)
        return cls(fingerprint, tuple(classes), sums, sample)._with(sorted(classes))

    def plus(self, other: TaskStatistics) -> TaskStatistics:
        """Return the statistics of the images of both; classes with equal names are one class.

        Raises:
            DataError: the latents were computed by different backbones.
        """
        if self.fingerprint != other.fingerprint:
            raise DataError(
                f"expected statistics of the backbone {self.fingerprint[:8]}, got "
                f"{other.fingerprint[:8]}; learn the task again from all images"
            )
        classes = sorted({*self.classes, *other.classes})
        one, two = self._with(classes), other._with(classes)
        return TaskStatistics(
            self.fingerprint, one.classes, one.sums.plus(two.sums), one.sample.plus(two.sample)
        )

    def _with(self, classes: Sequence[str]) -> TaskStatistics:
        """Return the same statistics with more classes, or with classes in another order."""
        places = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        sums = self.sums.with_classes(places, len(classes))
        sample = self.sample.with_classes(places)
        return TaskStatistics(self.fingerprint, tuple(classes), sums, sample)

    def to_bytes(self) -> bytes:
        """Return the file, about 5 MB with D = 1,024; it depends on the statistics only."""
        arrays = {
            "counts": self.sums.counts,
            "sums": self.sums.sums,
            "products": self.sums.products[np.triu_indices(self.sums.dim)],
            "rows": self.sample.rows,
            "labels": self.sample.labels,
            "digests": _as_bytes(self.sample.digests),
        }
        text = json.dumps([self.fingerprint, list(self.classes)])
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        # One entry, because the order of several would differ from run to run.
        return save(whole, metadata={SCHEMA: text})

    @classmethod
    def from_bytes(cls, data: bytes) -> TaskStatistics:
        """Read the result of `to_bytes`.

        Raises:
            StorageError: the file is damaged, or of another kind.
        """
        try:
            arrays = load(data)
            length = int.from_bytes(data[:8], "little")
            text = json.loads(data[8 : 8 + length])["__metadata__"][SCHEMA]
            fingerprint, classes = json.loads(text)
            sums = TaskSums(arrays["counts"], arrays["sums"], _square(arrays["products"]))
            digests = np.array([row.tobytes() for row in arrays["digests"]])
            sample = LatentSample(arrays["rows"], arrays["labels"], digests)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StorageError(
                "expected the statistics of a task, got a damaged file; learn the task again from "
                "all images"
            ) from error
        return cls(fingerprint, tuple(classes), sums, sample)


def _as_bytes(digests: np.ndarray) -> np.ndarray:
    """Return (K, L) uint8 from (K,) byte strings of length L."""
    return np.frombuffer(digests.tobytes(), dtype=np.uint8).reshape(len(digests), -1)


def _square(upper: np.ndarray) -> np.ndarray:
    """Return the symmetric (D, D) matrix with the given upper triangle."""
    dim = int(np.sqrt(2 * len(upper)))
    matrix = np.zeros((dim, dim), dtype=upper.dtype)
    matrix[np.triu_indices(dim)] = upper
    return np.asarray(matrix + np.triu(matrix, 1).T)
