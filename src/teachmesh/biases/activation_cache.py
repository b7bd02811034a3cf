"""Cache the activations at the cut of a network, so that they are computed once per image.

If the first layers have no biases, every epoch needs the same activations at the input of the first
biased layer. These activations are kept as float16, in memory or else on disk, up to a
budget. Activations beyond the budget are computed again every time. If the first layer is biased,
the images themselves are kept as uint8.

The file on disk has no name, so a killed process leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import torch

from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.model.forward_pass import Tensors

Images = Callable[[np.ndarray], torch.Tensor]
RAM_BYTES = 1 << 30
DISK_BYTES = 8 << 30
_LARGEST = float(np.finfo(np.float16).max)
_FOR_LARGE_FILES = Path("/var/tmp")
_VARIABLES = ("TMPDIR", "TEMP", "TMP")


class KeptActivations:
    """Cache of the inputs of `BeneficialBiases.suffix` for a set of images; close it after use.

    Not thread-safe.

    Args:
        bb: the network with biases.
        images: function from n rows to their images, an (n, 3, S, S) uint8 tensor; called once for
            each row that fits the budget.
        count: total number of images.
        budget: memory and disk space that the cache may use.

    Attributes:
        macs: multiply-accumulates spent on computing activations so far, including repeats.
    """

    def __init__(
        self, bb: BeneficialBiases, images: Images, count: int, budget: CacheBudget
    ) -> None:
        self.macs = 0
        self._bb = bb
        self._images = images
        self._shapes = bb.kept_shapes if bb.splits else ((3, bb.size, bb.size),)
        self._dtype = np.dtype(np.float16 if bb.splits else np.uint8)
        self._open = ExitStack()
        in_memory = budget.reserve_ram(count, self.bytes_each)
        self._stores = [self._in_memory(in_memory)]
        if on_disk := budget.reserve_disk(count - in_memory, self.bytes_each):
            self._stores.append(self._on_disk(on_disk, budget))
        self._ends = np.cumsum([len(store[0]) for store in self._stores])
        self._there = np.zeros(int(self._ends[-1]), dtype=bool)

    @property
    def bytes_each(self) -> int:
        """Number of bytes kept per image."""
        return self._dtype.itemsize * sum(prod(shape) for shape in self._shapes)

    def rows(self, rows: np.ndarray) -> Tensors:
        """Return the inputs of the suffix for the images in the given rows.

        Args:
            rows: positions of n images, without repeats.

        Returns:
            Tensors with n rows each.
        """
        can_keep = rows < len(self._there)
        there = np.zeros(len(rows), dtype=bool)
        there[can_keep] = self._there[rows[can_keep]]
        found = [np.empty((len(rows), *shape), self._dtype) for shape in self._shapes]
        if not there.all():
            fresh = self._compute(rows[~there])
            for array, values in zip(found, fresh, strict=True):
                array[~there] = values
            self._put(rows[~there], fresh)
        self._get(rows, there, found)
        if self._bb.splits:
            return tuple(torch.from_numpy(array) for array in found)
        return self._bb.prefix(torch.from_numpy(found[0]))

    def close(self) -> None:
        """Release the memory and disk space of the cache."""
        self._stores = []
        self._open.close()

    def __enter__(self) -> KeptActivations:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _compute(self, rows: np.ndarray) -> list[np.ndarray]:
        images = self._images(rows)
        if not self._bb.splits:
            return [images.numpy()]
        self.macs += len(rows) * self._bb.costs.prefix
        kept = self._bb.prefix(images)
        return [
            tensor.float().clamp(-_LARGEST, _LARGEST).cpu().numpy().astype(self._dtype)
            for tensor in kept
        ]

    def _put(self, rows: np.ndarray, values: list[np.ndarray]) -> None:
        for store, inside, places in self._located(rows):
            for array, new in zip(store, values, strict=True):
                array[places] = new[inside]
        self._there[rows[rows < len(self._there)]] = True

    def _get(self, rows: np.ndarray, there: np.ndarray, found: list[np.ndarray]) -> None:
        for store, inside, places in self._located(rows):
            wanted = inside & there
            for array, target in zip(store, found, strict=True):
                target[wanted] = array[places[wanted[inside]]]

    def _located(self, rows: np.ndarray) -> list[tuple[list[np.ndarray], np.ndarray, np.ndarray]]:
        """Return each store with a mask of the rows it holds and their positions in the store."""
        begins = self._ends - [len(store[0]) for store in self._stores]
        located = []
        for store, begin, end in zip(self._stores, begins, self._ends, strict=True):
            inside = (rows >= begin) & (rows < end)
            located.append((store, inside, rows[inside] - begin))
        return located

    def _in_memory(self, count: int) -> list[np.ndarray]:
        # The system allocates a page when it is first written, so unused rows cost nothing.
        return [np.zeros((count, *shape), self._dtype) for shape in self._shapes]

    def _on_disk(self, count: int, budget: CacheBudget) -> list[np.ndarray]:
        """Return arrays that are backed by a file, or empty arrays if the disk is full."""
        file = self._open.enter_context(tempfile.TemporaryFile(dir=budget.folder))  # noqa: SIM115
        arrays: list[np.ndarray] = []
        try:
            _allocate(file, count * self.bytes_each)
        except OSError:
            count = 0
        offset = 0
        for shape in self._shapes:
            size = (count, *shape)
            arrays.append(
                np.memmap(file, self._dtype, "r+", offset, size) if count else np.zeros(size)
            )
            offset += count * prod(shape) * self._dtype.itemsize
        return arrays


class CacheBudget:
    """Memory and disk space shared by the caches of one training run, on a first-come basis.

    Args:
        ram_bytes: maximum number of bytes in memory.
        disk_bytes: maximum number of bytes on disk, but never more than half of the free space.
        folder: folder for the temporary files; `scratch_folder()` by default.
    """

    def __init__(
        self,
        ram_bytes: int = RAM_BYTES,
        disk_bytes: int = DISK_BYTES,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder or scratch_folder()
        self._ram_left = ram_bytes
        self._disk_left = min(disk_bytes, shutil.disk_usage(self.folder).free // 2)

    def reserve_ram(self, count: int, bytes_each: int) -> int:
        """Reserve memory for at most `count` images; return how many fit."""
        places = min(count, self._ram_left // bytes_each)
        self._ram_left -= places * bytes_each
        return places

    def reserve_disk(self, count: int, bytes_each: int) -> int:
        """Reserve disk space for at most `count` images; return how many fit."""
        places = min(count, self._disk_left // bytes_each)
        self._disk_left -= places * bytes_each
        return places


def scratch_folder() -> Path:
    """Return the folder for large temporary files: TMPDIR, TEMP or TMP if set, else /var/tmp.

    It is not /tmp, which on many systems uses the memory that these files are meant to save. If
    /var/tmp is not writable, the system's default folder for temporary files is used.
    """
    named = any(os.environ.get(variable) for variable in _VARIABLES)
    if not named and os.access(_FOR_LARGE_FILES, os.W_OK):
        return _FOR_LARGE_FILES
    return Path(tempfile.gettempdir())


def _allocate(file: IO[Any], size_bytes: int) -> None:
    """Allocate the whole file now; if the disk filled up later, the process would be killed."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    else:
        file.truncate(size_bytes)
