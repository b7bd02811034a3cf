"""Disk cache for latents of whole splits, so that experiments embed each image only once.

The name of an entry is a hash of everything that the entry depends on: `Backbone.latents_id`,
version of the conversion to pixels, image digests. So an entry is never out of date, and each
engine and number type has its own. The cache may be deleted at any time: a missing, damaged or
incomplete entry is a miss.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from teachmesh.data.images import ImageRef
from teachmesh.data.loader import Progress, first_failure
from teachmesh.data.pixel_digests import digest_images, from_bytes, to_bytes
from teachmesh.data.pixels import DECODING
from teachmesh.data.tasks import Split, Task, check_failed
from teachmesh.errors import DataError, StorageError
from teachmesh.model.backbone import Backbone, Latents
from teachmesh.model.embedding import Embedded, embed_images

DEFAULT_LIMIT_BYTES = 4 << 30
_STALE_AFTER_S = 3600.0
_SUFFIX = ".safetensors"


class LatentCache:
    """Disk cache of named sets of arrays; above a size limit, the least recently used are removed.

    Several processes may use one folder. Complete entries are renamed into place, so a
    reader never gets a partial entry. Entries are **not** synced to the disk, because they can be
    computed again.

    Args:
        folder: folder of the entries; created when the first entry is stored.
        limit_bytes: maximum size of all entries together.
    """

    def __init__(self, folder: Path | str, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._folder = Path(folder)
        self._limit_bytes = limit_bytes

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of an entry, or None if it is missing or damaged.

        A damaged entry is removed.
        """
        path = self._path(key)
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                intact = (file.metadata() or {}).get("checksum") == _checksum(arrays)
            if intact:
                os.utime(path)  # `prune` sorts by the time of use
                return arrays
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, TypeError, KeyError):
            pass  # handled like a wrong checksum
        path.unlink(missing_ok=True)
        return None

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store the arrays of an entry, then prune. An entry larger than the limit is not stored.

        Raises:
            StorageError: the folder cannot be written, or the disk is full.
        """
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        data = save(whole, metadata={"checksum": _checksum(whole)})
        if len(data) > self._limit_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(self._path(key), data)
            self.prune()
        except OSError as error:
            raise StorageError(
                f"expected to write to the latent cache '{self._folder}', got "
                f"'{error.strerror}'; free some space or choose another --home"
            ) from error

    def prune(self) -> None:
        """Remove files left by killed processes, and least recently used entries over the limit."""
        entries: list[tuple[float, int, Path]] = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                state = path.stat()
            except FileNotFoundError:  # another process pruned it
                continue
            entries.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries, key=lambda entry: (entry[0], entry[2].name)):
            if total <= self._limit_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        for path in self._folder.glob("*.tmp"):
            if time.time() - path.stat().st_mtime > _STALE_AFTER_S:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # Keys are hashes. Any other key is hashed, so that no path leads out of the folder.
        name = key if re.fullmatch(r"[0-9a-f]{64}", key) else _sha256(key.encode())
        return self._folder / f"{name}{_SUFFIX}"

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:  # even Ctrl-C must leave no temporary file
            Path(temporary).unlink(missing_ok=True)
            raise


def embed_split(backbone: Backbone, task: Task, split: Split, cache: LatentCache) -> Embedded:
    """Compute the latents of a split of a task through a cache.

    Raises:
        DataError: more than a fifth of the images cannot be read.
    """
    embedded = embed_cached(backbone, split.images, cache)
    check_embedded(embedded, split, task.name)
    return embedded


def check_embedded(embedded: Embedded, split: Split, name: str) -> None:
    """Check that enough images of a split could be read.

    Args:
        embedded: latents of the readable images.
        split: all images.
        name: name of the task, for the message.

    Raises:
        DataError: more than a fifth of the images cannot be read; the message names one of them.
    """
    example = first_failure(split.images, embedded.failed)
    check_failed(len(embedded.failed), len(split.images), name, example)


def embed_parts(
    backbone: Backbone, task: Task, cache: LatentCache
) -> tuple[Embedded, Embedded, Embedded]:
    """Compute the latents of training, validation and test images through a cache.

    Test images with the pixels of an image that trains or validates are left out.

    Raises:
        DataError: more than a fifth of the images of a split cannot be read, or no test image
            is left.
    """
    train, validation, test = (
        embed_split(backbone, task, split, cache)
        for split in (task.train, task.validation, task.test)
    )
    return train, validation, test.without((train.digests, validation.digests), task.name)


def split_key(latents_id: str, digests: Sequence[str]) -> str:
    """Return the key (64 hex digits) of the latents of the given images and backbone.

    Args:
        latents_id: name of the backbone's latents, `Backbone.latents_id`.
        digests: digests of the images. Their order matters, because it is the order of the rows.
    """
    return _sha256("\n".join((latents_id, DECODING, *digests)).encode())


def image_digests(images: Sequence[ImageRef], workers: int = 2) -> list[str]:
    """Return the SHA-256 of each image's bytes in hex, or "unreadable" if reading fails."""
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="teachmesh-digest") as pool:
        return list(pool.map(_digest, images, chunksize=64))


def _digest(image: ImageRef) -> str:
    try:
        return _sha256(image.read())
    except DataError:
        return "unreadable"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash names and contents: after a crash, a file may have the right size but wrong bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}\0{arrays[name].shape}\0".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def embed_cached(
    backbone: Backbone,
    images: Sequence[ImageRef],
    cache: LatentCache,
    *,
    progress: Progress | None = None,
) -> Embedded:
    """Call `embed_images` through a cache on disk, keyed by backbone and image contents.

    Experiments embed the same images many times. An agent does not store latents of single images.
    """
    key = split_key(backbone.latents_id, image_digests(images))
    stored = cache.get(key)
    if stored is not None and len(stored["kept"]) == len(images):
        if "digests" not in stored:  # stored by an earlier version
            stored["digests"] = to_bytes(digest_images(images, backbone.preprocessing.size))
            cache.put(key, stored)
        latents = Latents(stored["last"], stored["multi"])
        digests = from_bytes(stored["digests"])
        return Embedded(latents, stored["kept"], (), digests, from_cache=True)
    embedded = embed_images(backbone, images, progress=progress, full_batches=True)
    arrays = {"last": embedded.latents.last, "multi": embedded.latents.multi}
    digests = to_bytes(embedded.digests)
    cache.put(key, {**arrays, "kept": embedded.kept, "digests": digests})
    return embedded
