"""Decode batches in threads that run ahead, so that the network never waits for an image.

Pillow decodes outside Python's global lock, so a few threads fill the next batches while the
network works on the current one. The number of unfinished batches is limited. Batches
always come in the order of the images.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from teachmesh.data.pixels import squash
from teachmesh.errors import DataError

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
"""Callback for progress, called with (images done, images in total)."""
BATCHES_AHEAD = 3
"""Number of batches that are being decoded or ready while the network works on one."""
_IMAGES_PER_JOB = 8
"""Maximum number of images that one thread decodes at a time, of one shape together."""


class Readable(Protocol):
    """An image that can be decoded: an `ImageRef` or an `ImageInput`."""

    def upright(self, size: int) -> np.ndarray:
        """Return the upright (H, W, C) uint8 image; raise `DataError` if it cannot be decoded."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Readable images of one batch, and the reasons why the other images are unreadable.

    Attributes:
        indices: ascending positions of the n readable images in the sequence, (n,) int64.
        images: decoded images, (n, 3, S, S) torch.uint8, with `channels_last` memory format.
        failed: (position, reason) of each unreadable image of the batch.
    """

    indices: np.ndarray
    images: torch.Tensor
    failed: tuple[tuple[int, str], ...]


@dataclass(eq=False)
class _Pending:
    """A batch that is being decoded; each decoding job writes its own rows."""

    pixels: np.ndarray  # (n, S, S, 3) uint8
    start: int
    reasons: dict[int, str] = field(default_factory=dict)
    jobs: list[Future[None]] = field(default_factory=list)

    def decode(self, images: Sequence[Readable], rows: range, stop: threading.Event) -> None:
        size = self.pixels.shape[1]
        alike: defaultdict[tuple[int, ...], list[tuple[int, np.ndarray]]] = defaultdict(list)
        for row in rows:
            if stop.is_set():
                return
            try:
                pixels = images[self.start + row].upright(size)
                alike[pixels.shape].append((row, pixels))
            except DataError as error:
                self.reasons[row] = str(error)
        for group in alike.values():
            places, stack = zip(*group, strict=True)
            self.pixels[list(places)] = squash(np.stack(stack), size)

    def finish(self) -> Batch:
        """Wait for the decoding jobs, and return the batch without unreadable images."""
        import torch

        for job in self.jobs:
            job.result()
        pixels = self.pixels
        rows = np.arange(len(pixels), dtype=np.int64)
        if self.reasons:
            rows = np.setdiff1d(rows, np.fromiter(self.reasons, dtype=np.int64))
            pixels = pixels[rows]
        failed = tuple((self.start + row, self.reasons[row]) for row in sorted(self.reasons))
        _log.debug("decoded images %d to %d", self.start, self.start + len(self.pixels) - 1)
        # (n, S, S, 3) -> (n, 3, S, S) without a copy; the network also uses channels last.
        return Batch(self.start + rows, torch.from_numpy(pixels).permute(0, 3, 1, 2), failed)


def iterate_batches(
    images: Sequence[Readable], size: int, *, batch_size: int = 64, workers: int = 2
) -> Iterator[Batch]:
    """Decode images in batches, ahead of the consumer.

    Closing the iterator early (or an exception in the loop over it) stops the threads.

    Args:
        images: the images to decode.
        size: side of the decoded squares in pixels, S.
        batch_size: number of images per batch, including unreadable images.
        workers: number of decoding threads.

    Yields:
        Batches in the order of `images`, identical in every run. Unreadable images are listed in
        `Batch.failed`, **not** raised; `tasks.check_failed` decides whether there are too many.
    """
    stop = threading.Event()
    # All threads take part in a batch, because a few large photos may be the only one.
    share = min(_IMAGES_PER_JOB, -(-min(batch_size, len(images) or 1) // max(1, workers)))
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="teachmesh-decode")
    waiting: deque[_Pending] = deque()
    pending = (
        _submit(pool, images, range(start, min(start + batch_size, len(images))), size, stop, share)
        for start in range(0, len(images), batch_size)
    )
    try:
        waiting.extend(islice(pending, 1 + BATCHES_AHEAD))
        while waiting:
            batch = waiting.popleft().finish()
            # Start decoding the next batch before yielding this batch.
            waiting.extend(islice(pending, 1))
            yield batch
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def read_batch(images: Sequence[Readable], positions: range, size: int) -> Batch:
    """Decode one batch in the calling thread, for callers that run several batches in parallel.

    Args:
        images: all images of the sequence.
        positions: positions of the images to decode.
        size: side of the decoded squares in pixels, S.
    """
    pixels = np.empty((len(positions), size, size, 3), dtype=np.uint8)
    batch = _Pending(pixels, positions.start)
    batch.decode(images, range(len(positions)), threading.Event())
    return batch.finish()


def _submit(
    pool: ThreadPoolExecutor,
    images: Sequence[Readable],
    positions: range,
    size: int,
    stop: threading.Event,
    share: int,
) -> _Pending:
    batch = _Pending(np.empty((len(positions), size, size, 3), dtype=np.uint8), positions.start)
    for first in range(0, len(positions), share):
        rows = range(first, min(first + share, len(positions)))
        batch.jobs.append(pool.submit(batch.decode, images, rows, stop))
    return batch


def first_failure(images: Sequence[object], failed: Sequence[tuple[int, str]]) -> str:
    """Return one sentence about the first unreadable image; empty if all are readable.

    Args:
        images: all images of the sequence.
        failed: (position, reason) of each unreadable image.
    """
    return named_failure(str(images[failed[0][0]]), failed[0][1]) if failed else ""


def named_failure(name: str, reason: str) -> str:
    """Return one sentence about an unreadable image, which names it once.

    >>> named_failure("a.png", "expected an image, got an empty file in 'a.png'; copy it again")
    "expected an image, got an empty file in 'a.png'; copy it again"
    >>> named_failure("image 1", "expected an image, got an empty file; copy it again")
    'image 1: expected an image, got an empty file; copy it again'
    """
    return reason if f"'{name}'" in reason else f"{name}: {reason}"
