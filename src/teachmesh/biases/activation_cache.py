"""What crosses the cut of a network, computed once per image and kept: RAM, then disk, then not.

Where biases begin after some layer, every epoch needs the same activations at that layer's input.
They are kept as float16 in memory up to a bound, further ones in a file without a name (a process
that is killed leaves nothing), and the rest is computed again each time. Where biases begin at the
first layer, the images themselves are kept, as the bytes that they are.
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
_LARGEST = float(np.finfo(np.float16).max)


class KeptActivations:
    """What `BeneficialBiases.suffix` needs of some images, by row; to be closed.

    Not for several threads at once.

    Args:
        bb: the network with biases.
        images: rows -> (n, 3, S, S) uint8; asked once per row, as far as rows can be kept.
        count: number of images.
        room: what of it is left is what this store may take.

    Attributes:
        macs: multiply-accumulates spent on prefixes so far, those computed again included.
    """

    def __init__(self, bb: BeneficialBiases, images: Images, count: int, room: CacheBudget) -> None:
        self.macs = 0
        self._bb = bb
        self._images = images
        self._shapes = bb.kept_shapes if bb.splits else ((3, bb.size, bb.size),)
        self._dtype = np.dtype(np.float16 if bb.splits else np.uint8)
        self._open = ExitStack()
        in_memory = room.take_ram(count, self.bytes_each)
        self._stores = [self._in_memory(in_memory)]
        if on_disk := room.take_disk(count - in_memory, self.bytes_each):
            self._stores.append(self._on_disk(on_disk, room))
        self._ends = np.cumsum([len(store[0]) for store in self._stores])
        self._there = np.zeros(int(self._ends[-1]), dtype=bool)

    @property
    def bytes_each(self) -> int:
        """Bytes of one image."""
        return self._dtype.itemsize * sum(prod(shape) for shape in self._shapes)

    @property
    def places(self) -> tuple[int, ...]:
        """How many images can be kept: in memory, and on the disk."""
        return tuple(len(store[0]) for store in self._stores)

    def rows(self, rows: np.ndarray) -> Tensors:
        """What the suffix needs of some images.

        Args:
            rows: (n,) positions, none twice.

        Returns:
            Tensors of n rows each.
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
        """Give memory and disk back."""
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
        """Each store with the rows that it has a place for, and the places."""
        begins = self._ends - [len(store[0]) for store in self._stores]
        located = []
        for store, begin, end in zip(self._stores, begins, self._ends, strict=True):
            inside = (rows >= begin) & (rows < end)
            located.append((store, inside, rows[inside] - begin))
        return located

    def _in_memory(self, count: int) -> list[np.ndarray]:
        # The system gives pages as they are written: what is not needed costs nothing.
        return [np.zeros((count, *shape), self._dtype) for shape in self._shapes]

    def _on_disk(self, count: int, room: CacheBudget) -> list[np.ndarray]:
        """Arrays in a file, or none where the disk has no room."""
        file = self._open.enter_context(tempfile.TemporaryFile(dir=room.folder))  # noqa: SIM115
        arrays: list[np.ndarray] = []
        try:
            _reserve(file, count * self.bytes_each)
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


def _reserve(file: IO[Any], size_bytes: int) -> None:
    """Give a file its size now: a full disk under a mapping would kill the process later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    else:
        file.truncate(size_bytes)


RAM_BYTES = 1 << 30
DISK_BYTES = 8 << 30
_FOR_LARGE_FILES = Path("/var/tmp")
_VARIABLES = ("TMPDIR", "TEMP", "TMP")


class CacheBudget:
    """Memory and disk that the stores of one training share; each takes what the earlier ones left.

    Args:
        ram_bytes: most bytes in memory.
        disk_bytes: most bytes on the disk; never more than half of what is free at first.
        folder: of files; default `scratch_folder`.
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

    def take_ram(self, count: int, bytes_each: int) -> int:
        """Places in memory for at most `count` images; they are taken from now on."""
        places = min(count, self._ram_left // bytes_each)
        self._ram_left -= places * bytes_each
        return places

    def take_disk(self, count: int, bytes_each: int) -> int:
        """Places on the disk, likewise."""
        places = min(count, self._disk_left // bytes_each)
        self._disk_left -= places * bytes_each
        return places


def scratch_folder() -> Path:
    """Where large temporary files go: the folder that TMPDIR, TEMP or TMP names, else /var/tmp.

    On many systems /tmp lies in memory, which is what a file is to spare. Where there is no
    /var/tmp, the system's folder for temporary files.
    """
    named = any(os.environ.get(variable) for variable in _VARIABLES)
    if not named and os.access(_FOR_LARGE_FILES, os.W_OK):
        return _FOR_LARGE_FILES
    return Path(tempfile.gettempdir())
