"""Compute the latents of images in one backbone pass, with parallel decoding.

On a CPU, every lane decodes its own batches and computes their latents. On an accelerator, threads
decode batches ahead of time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.data.loader import Batch, Progress, iterate_batches, read_batch
from teachmesh.data.names import shown
from teachmesh.data.pixel_digests import DIGEST, pixel_digests
from teachmesh.errors import DataError
from teachmesh.model.backbone import Latents
from teachmesh.model.lanes import MAX_LANES, Lanes

if TYPE_CHECKING:
    from teachmesh.data.images import ImageRef
    from teachmesh.data.loader import Readable
    from teachmesh.data.splits import Edge
    from teachmesh.data.tasks import Split
    from teachmesh.model.backbone import Backbone

BATCH_SIZE = 16
"""Number of images per forward pass.

It is small, because every lane holds a batch, and all lanes wait for the last one to end. It is
fixed, because rounding depends on it: latents must be equal on any number of cores.
"""
_ACCELERATOR_BATCH_SIZE = 64
_FEW_BATCHES = 4
"""Number of batches per lane below which lanes would wait for one that decodes large photos."""
_FEW_IMAGES = 4
"""Number of images below which decoding is faster than the start of threads for it."""
Passed = tuple["Batch", "Latents", np.ndarray]
"""A batch, its latents, and the digests of its pixels."""
NO_EDGES: Mapping[ImageRef, Edge] = {}


@dataclass(frozen=True, eq=False)
class Embedded:
    """Latents of a sequence of images.

    Attributes:
        latents: latents of the readable images, in order.
        kept: (N,) int64 array with the position of each readable image in the sequence.
        failed: a pair (position, reason) for each image that could not be read.
        digests: (N,) hash of the pixels of each readable image, see `data.pixel_digests`.
        from_cache: True if all latents were read from a cache.
    """

    latents: Latents
    kept: np.ndarray
    failed: tuple[tuple[int, str], ...]
    digests: np.ndarray
    from_cache: bool = False

    def without(self, learned: Iterable[np.ndarray], task: str = "") -> Embedded:
        """Return the test images whose pixels are not those of learned images.

        Args:
            learned: hashes of the pixels of learned images, such as those of training images.
            task: name of the task, for the message.

        Raises:
            DataError: there are images, but no others.
        """
        rows = np.flatnonzero(~np.isin(self.digests, np.concatenate([self.digests[:0], *learned])))
        if len(rows) == len(self.kept):
            return self
        if not len(rows):
            which = f"test images of '{shown(task)}'" if task else "test images"
            raise DataError(
                f"expected {which} that were not learned, got {len(self.kept)} with the pixels of "
                "training images; add other images"
            )
        latents = Latents(self.latents.last[rows], self.latents.multi[rows])
        return replace(self, latents=latents, kept=self.kept[rows], digests=self.digests[rows])


@dataclass(frozen=True, eq=False)
class LabelledLatents:
    """Latents and labels of one split.

    Attributes:
        latents: latents of the N images.
        labels: (N,) int64 array with the class index of each image.
        digests: (N,) hash of the pixels of each image; None if there are no images.
        edges: rows whose split may change when the task grows, see `data.splits`.
    """

    latents: Latents
    labels: np.ndarray
    digests: np.ndarray | None = None
    edges: Mapping[int, Edge] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


def embed_images(
    backbone: Backbone,
    images: Sequence[Readable],
    *,
    progress: Progress | None = None,
    batch_size: int | None = None,
    full_batches: bool = False,
    hashed: bool = True,
) -> Embedded:
    """Compute the latents of images, with one backbone pass per image.

    The latents of an image are bit-identical whether it is read from a file or from memory. With
    `full_batches`, they also do not depend on the other images, nor on the order of the images.

    Args:
        backbone: the frozen network.
        images: files or images in memory.
        progress: called with (images done, total number of images).
        batch_size: number of images per forward pass; None for the default of the device.
        full_batches: fill batches that are too small with copies of their first image.
        hashed: whether to hash the pixels; otherwise there are no digests.

    Returns:
        Latents of the readable images; unreadable images are listed in `failed`.
    """
    last: list[np.ndarray] = []
    multi: list[np.ndarray] = []
    kept: list[np.ndarray] = []
    digests = [np.zeros(0, dtype=DIGEST)]
    failed: list[tuple[int, str]] = []
    done = 0
    for batch, latents, hashes in _passes(backbone, images, batch_size, full_batches, hashed):
        failed.extend(batch.failed)
        digests.append(hashes)
        if len(batch.indices):
            last.append(latents.last)
            multi.append(latents.multi)
            kept.append(batch.indices)
        done += len(batch.indices) + len(batch.failed)
        if progress is not None:
            progress(done, len(images))
    return Embedded(
        Latents(_stack(last, backbone.last_dim), _stack(multi, backbone.dim)),
        np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64),
        tuple(failed),
        np.concatenate(digests),
    )


def _passes(
    backbone: Backbone,
    images: Sequence[Readable],
    batch_size: int | None,
    full: bool,
    hashed: bool,
) -> Iterator[Passed]:
    """Yield batches, their latents and the digests of their pixels, in the order of the images."""
    size = backbone.preprocessing.size
    if backbone.device.type != "cpu":
        step = batch_size or _ACCELERATOR_BATCH_SIZE
        workers = min(MAX_LANES, torch.get_num_threads())
        batches = iterate_batches(images, size, batch_size=step, workers=workers)
        yield from _on_accelerator(backbone, batches, step if full else 0, hashed)
        return
    step = batch_size or BATCH_SIZE
    starts = range(0, len(images), step)
    at_once = len(starts) if len(images) < _FEW_IMAGES else max(2, len(starts))
    with Lanes.for_jobs(at_once) as lanes:

        def run(batch: Batch) -> Passed:
            return batch, _embed(backbone, batch, step if full else 0), _digests(batch, hashed)

        def read_and_run(start: int) -> Passed:
            return run(read_batch(images, range(start, min(start + step, len(images))), size))

        if lanes.count > 1 and len(starts) < _FEW_BATCHES * lanes.count:
            batches = iterate_batches(images, size, batch_size=step, workers=lanes.count)
            yield from lanes.run(partial(run, batch) for batch in batches)
        else:
            yield from lanes.run(partial(read_and_run, start) for start in starts)


def _digests(batch: Batch, hashed: bool) -> np.ndarray:
    return pixel_digests(batch.images) if hashed else np.zeros(0, dtype=DIGEST)


def _on_accelerator(
    backbone: Backbone, batches: Iterable[Batch], least: int, hashed: bool
) -> Iterator[Passed]:
    """Start the pass of each batch before waiting for the one before it."""
    waiting: deque[tuple[Batch, Callable[[], Latents]]] = deque()
    for batch in batches:
        pixels = _filled(batch.images, least)
        if backbone.device.type == "cuda":
            pixels = pixels.pin_memory()  # a copy from pinned memory runs beside the passes
        waiting.append((batch, backbone.embed_later(pixels)))
        if len(waiting) > 1:
            yield _waited_for(*waiting.popleft(), hashed)
    while waiting:
        yield _waited_for(*waiting.popleft(), hashed)


def _waited_for(batch: Batch, later: Callable[[], Latents], hashed: bool) -> Passed:
    digests = _digests(batch, hashed)
    return batch, _first(later(), len(batch.images)), digests


def _embed(backbone: Backbone, batch: Batch, least: int) -> Latents:
    """Return the latents of a batch, which is filled up to `least` images for the pass."""
    return _first(backbone.embed(_filled(batch.images, least)), len(batch.images))


def _filled(pixels: torch.Tensor, least: int) -> torch.Tensor:
    """Fill a batch up to `least` images with copies of its first one.

    Rounding depends on the number of images in a pass, but not on their order or content.
    """
    missing = least - len(pixels)
    if len(pixels) == 0 or missing <= 0:
        return pixels
    return torch.cat([pixels, pixels[:1].expand(missing, -1, -1, -1)])


def _first(latents: Latents, count: int) -> Latents:
    if len(latents) == count:
        return latents
    return Latents(latents.last[:count], latents.multi[:count])


def embed_splits(
    backbone: Backbone, splits: Sequence[Split], *, progress: Progress | None = None
) -> list[Embedded]:
    """Embed several splits in one run, so that lanes do not wait after each split.

    The latents of an image do not depend on the other images, see `embed_images`.

    Args:
        backbone: the frozen network.
        splits: splits to embed.
        progress: called with (images done, total number of images).

    Returns:
        One result per split; its positions count from the start of that split.
    """
    images = [image for split in splits for image in split.images]
    whole = embed_images(backbone, images, progress=progress, full_batches=True)
    parts: list[Embedded] = []
    start = 0
    for split in splits:
        stop = start + len(split.images)
        rows = slice(*np.searchsorted(whole.kept, [start, stop]))
        latents = Latents(whole.latents.last[rows], whole.latents.multi[rows])
        failed = tuple((i - start, why) for i, why in whole.failed if start <= i < stop)
        kept = whole.kept[rows] - start
        parts.append(Embedded(latents, kept, failed, whole.digests[rows]))
        start = stop
    return parts


def labelled(
    split: Split, embedded: Embedded, edges: Mapping[ImageRef, Edge] = NO_EDGES
) -> LabelledLatents:
    """Combine the latents of the readable images with their labels.

    Args:
        split: the images.
        embedded: latents of the images.
        edges: images whose split may change when the task grows.
    """
    images = ((row, split.images[int(place)]) for row, place in enumerate(embedded.kept))
    own = {row: edges[image] for row, image in images if image in edges} if edges else {}
    return LabelledLatents(embedded.latents, split.labels[embedded.kept], embedded.digests, own)


def _stack(parts: list[np.ndarray], dim: int) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, dim), dtype=np.float32)
