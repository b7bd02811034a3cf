"""The densities of many tasks in blocks of float32, and a search for the best of them.

Tasks of similar size share a block of fixed size. Adding or removing a task touches its own rows
only, so the cost does not depend on the number of tasks. Two matrix products per block give the
evidence of all its tasks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from teachmesh.data.tensor_file import SavedArrays
from teachmesh.mapping.discriminant import TaskDensity

BLOCK_ROWS = 8192
"""Number of class rows and axes in a block: 32 MB for D = 1,024."""
POINTS = 256
"""Number of points that are scored together; larger products are faster."""
BLOCKS_IN_MEMORY = 8
"""Number of blocks in memory; further blocks are mapped from a temporary file."""

SAVED_SHARE = 3
"""A block is saved again when one in three of its slots is new."""
_ARRAYS = ("matrices", "offsets", "precisions", "sizes")
_UNIT = float(np.finfo(np.float32).eps) / 2


class ArrayStore(Protocol):
    """A place for derived arrays, which may be lost at any time."""

    def load(self) -> Iterator[SavedArrays]:
        """Yield the content of all intact files."""

    def save(
        self, keys: Sequence[str], arrays: Mapping[str, np.ndarray], replaces: str
    ) -> SavedArrays | None:
        """Save arrays as one file; return its content, or None if it cannot be written.

        Args:
            keys: one text per slot of the arrays.
            arrays: arrays by name.
            replaces: name of an older file, which is removed then; empty if there is none.
        """

    def remove(self, name: str) -> None:
        """Remove a file; a missing file is not an error."""


StoreOf = Callable[[str, str], ArrayStore]
"""Function that returns a store from the name of its content and from the arrays' origin.

Arrays of another origin were computed in another way, and are not loaded."""


class DensityBlocks:
    """Densities of tasks by key.

    Args:
        store: place where blocks are saved; None to save nothing.
    """

    def __init__(self, store: ArrayStore | None = None) -> None:
        self._store = store
        self._blocks: list[DensityBlock] = []
        self._places: dict[str, tuple[DensityBlock, int]] = {}

    def add(self, key: str, density: TaskDensity) -> None:
        """Store the density of a task."""
        shape = _block_shape(density)
        for block in self._blocks:
            if block.shape == shape and block.free:
                break
        else:
            mapped = len(self._blocks) >= BLOCKS_IN_MEMORY
            block = DensityBlock.new(shape, BLOCK_ROWS, mapped=mapped)
            self._blocks.append(block)
        self._places[key] = block, block.put(key, density)

    def remove(self, key: str) -> None:
        """Forget the density of a task."""
        block, slot = self._places.pop(key)
        block.clear(slot)

    def restore(self, wanted: Collection[str]) -> set[str]:
        """Add densities from saved blocks; return the keys of the tasks that were found.

        Other slots of these blocks are freed. A block without any of the tasks is removed.

        Args:
            wanted: keys of tasks that have no density yet.
        """
        missing = set(wanted)
        for saved in () if self._store is None else self._store.load():
            found = missing.intersection(saved.keys)
            if not found and self._store is not None:
                self._store.remove(saved.name)
                continue
            missing -= found
            self._take(DensityBlock.of(saved), found)
        return set(wanted) - missing

    def _take(self, block: DensityBlock, wanted: set[str]) -> None:
        """Use the wanted densities of a block, and free its other slots."""
        self._blocks.append(block)
        for slot, key in enumerate(block.keys):
            if key in wanted:
                self._places[key] = block, slot
            elif key:
                block.clear(slot)

    def save(self) -> None:
        """Save the blocks with many new slots."""
        if self._store is not None:
            for block in self._blocks:
                block.save(self._store)

    def density(self, key: str) -> TaskDensity:
        """Return the density of a task, a view of its rows.

        It is padded: more classes with the log density minus infinity, and more axes of zero.
        """
        block, slot = self._places[key]
        return block.density(slot)

    def evidence(self, key: str, z: torch.Tensor) -> torch.Tensor:
        """Return the (N,) log densities of the best class of a task, in nats.

        Args:
            key: key of the task.
            z: (N, D) float64 points.
        """
        return self.density(key).evidence(z)

    def best(self, z: torch.Tensor, count: int) -> list[list[str]]:
        """Return, for each point, the keys of the tasks with the most evidence, in any order.

        The search in float32 has a bounded error e for each task and point. A task is certain to
        belong to the best if its evidence minus e exceeds the evidence plus e of all but `count`
        tasks. It is certain not to belong to them if its evidence plus e is below the evidence
        minus e of `count` tasks. The others are compared in float64. The result is therefore the
        same in every order of the tasks. Equal tasks are all returned.

        Args:
            z: (N, D) float64 points.
            count: number of tasks.
        """
        found: list[list[str]] = []
        for part in torch.split(z, POINTS):
            scores, errors, keys = self._scan(part)  # (T, n)
            if len(keys) <= count:
                found += [list(keys)] * len(part)
                continue
            upper, lower = scores + errors, scores - errors
            needed = torch.topk(lower, count, dim=0).values[-1]  # (n,)
            enough = torch.topk(upper, count + 1, dim=0).values[-1]  # (n,)
            sure, possible = (lower > enough).T, (upper >= needed).T
            for i, point in enumerate(part):
                certain = [keys[t] for t in sure[i].nonzero()[:, 0].tolist()]
                doubtful = [keys[t] for t in (possible[i] & ~sure[i]).nonzero()[:, 0].tolist()]
                found.append(certain + self._best_of(doubtful, point[None], count - len(certain)))
        return found

    def _best_of(self, keys: Iterable[str], point: torch.Tensor, count: int) -> list[str]:
        """Return the tasks with the most evidence, computed in float64."""
        exact = {key: float(self.evidence(key, point)[0]) for key in keys}
        if len(exact) <= count:
            return list(exact)
        last = sorted(exact.values(), reverse=True)[count - 1]
        return [key for key, evidence in exact.items() if evidence >= last]

    def _scan(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        """Return the (T, n) evidence of all tasks, bounds of its errors, and the tasks' keys."""
        points = z.float().T.contiguous()  # (D, n)
        squares = (z * z).sum(1)
        parts = [block.evidence(points, squares) for block in self._blocks]
        keys = [key for block in self._blocks for key in block.keys if key]
        taken = [torch.tensor([bool(key) for key in block.keys]) for block in self._blocks]
        scores = torch.cat([p[0][t] for p, t in zip(parts, taken, strict=True)])
        errors = torch.cat([p[1][t] for p, t in zip(parts, taken, strict=True)])
        return scores, errors, keys


@dataclass(eq=False)
class DensityBlock:
    """Slots for tasks with at most C classes and R axes.

    Attributes:
        shape: (C, R, D).
        matrices: (slots, C + R, D) float32; rows and axes that a task does not use are zero.
        offsets: (slots, C) float64; minus infinity for rows that a task does not use.
        precisions: (slots,) float64.
        sizes: (slots, 3) float64, length of the longest row, root of the sum of the axes' squares,
            and largest offset.
        keys: key of the task in each slot; empty for a free slot.
        free: free slots.
        fresh: slots with tasks that the saved file does not have.
        file: name of the saved file; empty if the block was never saved.
    """

    shape: tuple[int, int, int]
    matrices: np.ndarray
    offsets: np.ndarray
    precisions: np.ndarray
    sizes: np.ndarray
    keys: list[str]
    free: list[int] = field(default_factory=list)
    fresh: set[int] = field(default_factory=set)
    file: str = ""

    @classmethod
    def new(cls, shape: tuple[int, int, int], rows: int, *, mapped: bool) -> DensityBlock:
        """Return an empty block.

        Args:
            shape: (C, R, D).
            rows: number of rows and axes of all its slots; one slot may have more.
            mapped: whether to map the matrices from a temporary file.
        """
        classes, axes, dim = shape
        slots = max(1, rows // (classes + axes))
        return cls(
            shape,
            _zeros((slots, classes + axes, dim), mapped=mapped),
            np.full((slots, classes), -np.inf),
            np.ones(slots),
            np.zeros((slots, 3)),
            [""] * slots,
            list(range(slots))[::-1],
        )

    @classmethod
    def of(cls, saved: SavedArrays) -> DensityBlock:
        """Return the block in a file, which `save` wrote."""
        matrices, offsets, precisions, sizes = (saved.arrays[name] for name in _ARRAYS)
        classes = offsets.shape[1]
        shape = classes, matrices.shape[1] - classes, matrices.shape[2]
        free = [slot for slot, key in enumerate(saved.keys) if not key][::-1]
        keys = list(saved.keys)
        return cls(shape, matrices, offsets, precisions, sizes, keys, free, file=saved.name)

    def save(self, store: ArrayStore) -> None:
        """Save the block if many of its slots are new; then map its matrices from the file."""
        if len(self.fresh) < max(1, len(self.keys) // SAVED_SHARE):
            return
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        saved = store.save(self.keys, arrays, self.file)
        if saved is not None:
            self.matrices = saved.arrays["matrices"]
            self.file = saved.name
            self.fresh.clear()

    def put(self, key: str, density: TaskDensity) -> int:
        """Store a density in a free slot; return the slot."""
        slot, classes = self.free.pop(), self.shape[0]
        n_rows, n_axes = len(density.rows), len(density.axes)
        self.matrices[slot, :n_rows] = density.rows
        self.matrices[slot, n_rows:classes] = 0
        self.matrices[slot, classes : classes + n_axes] = density.axes
        self.matrices[slot, classes + n_axes :] = 0
        self.offsets[slot, :n_rows] = density.offsets
        self.offsets[slot, n_rows:] = -np.inf
        self.precisions[slot] = density.precision
        longest = np.sqrt(np.square(density.rows, dtype=np.float64).sum(axis=1).max())
        spread = np.sqrt(np.square(density.axes, dtype=np.float64).sum())
        self.sizes[slot] = longest, spread, np.abs(density.offsets).max()
        self.keys[slot] = key
        self.fresh.add(slot)
        return slot

    def clear(self, slot: int) -> None:
        """Empty a slot; its rows stay until it is used again, so that no memory is touched."""
        self.keys[slot] = ""
        self.fresh.discard(slot)
        self.free.append(slot)

    def density(self, slot: int) -> TaskDensity:
        """Return the density in a slot, with the unused rows: -inf for classes, zero for axes."""
        return TaskDensity(self.matrices[slot], self.offsets[slot], float(self.precisions[slot]))

    def evidence(
        self, points: torch.Tensor, squares: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the (slots, n) evidence in float32 and bounds of its errors.

        Products of float32 vectors of length D have an error of at most g |a| |b|. Here,
        g = (D + 2) u / (1 - (D + 2) u) and u is the unit roundoff. This holds for any order of the
        sum (Higham, Accuracy and Stability of Numerical Algorithms, 2002, Sec. 3.1). One unit in
        D + 2 is for rounding the point.

        Args:
            points: (D, n) float32.
            squares: (n,) float64 squared lengths.
        """
        classes, n_axes, dim = self.shape
        slots, n = len(self.keys), points.shape[1]
        products = torch.from_numpy(self.matrices).view(-1, dim) @ points
        linear, along = products.view(slots, -1, n).tensor_split([classes], dim=1)
        linear = (linear + torch.from_numpy(self.offsets).float()[:, :, None]).amax(1)
        own = along.square().sum(1)  # (slots, n)
        common = own - 0.5 * torch.from_numpy(self.precisions).float()[:, None] * squares.float()
        scores = linear + common
        g = (dim + 2) * _UNIT / (1 - (dim + 2) * _UNIT)
        longest, spread, offset = torch.from_numpy(self.sizes).T
        length = float(squares.max()) ** 0.5
        drift = g * spread * length
        most = own.amax(1).double()
        errors = (g + 8 * _UNIT) * longest * length + 8 * _UNIT * (offset + most)
        errors = errors + drift * (2 * most.sqrt() + 3 * drift) + 2 * (n_axes + 2) * _UNIT * most
        errors = errors + 8 * _UNIT * torch.from_numpy(self.precisions) * length**2
        return scores, errors.float()[:, None].expand(slots, n)


def saved_arrays(density: TaskDensity) -> dict[str, np.ndarray]:
    """Return the arrays that are saved for a block with this density only, by name."""
    block = DensityBlock.new(_block_shape(density), 1, mapped=False)
    block.put("", density)
    return {name: getattr(block, name) for name in _ARRAYS}


def _block_shape(density: TaskDensity) -> tuple[int, int, int]:
    """Return (C, R, D) of the blocks in which a density has its place."""
    n_classes, (height, dim) = len(density.offsets), density.matrix.shape
    return padded(n_classes), padded(height - n_classes), dim


def padded(count: int) -> int:
    """Return the next of the sizes 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ...

    >>> [padded(count) for count in (1, 5, 9, 17, 100)]
    [1, 6, 12, 24, 128]
    """
    size = 1
    while size < count:
        size = size * 4 // 3 if size % 3 == 0 else size * 3 // 2 if size > 1 else 2
    return size


def _zeros(shape: tuple[int, int, int], *, mapped: bool) -> np.ndarray:
    """Return zeros in float32; a mapped array can be moved to the disk by the system."""
    if not mapped:
        return np.asarray(torch.zeros(shape).numpy())
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape).view(np.ndarray)
