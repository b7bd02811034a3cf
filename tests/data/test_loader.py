"""Batches decoded ahead by threads."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from teachmesh.data.archives import scan_archive
from teachmesh.data.images import ImageRef
from teachmesh.data.loader import BATCHES_AHEAD, iterate_batches
from tests.data.pictures import decode_image, encoded, smooth, write_folder, write_tar

SIDE = 16


def references(tmp_path: Path, n: int, broken: tuple[int, ...] = ()) -> list[ImageRef]:
    """N images in a tar, some of them cut off."""
    files = {f"{i:03}.png": encoded(smooth(20, 12 + i % 9, seed=i)) for i in range(n)}
    for i in broken:
        files[f"{i:03}.png"] = files[f"{i:03}.png"][:60]
    path = write_tar(tmp_path / "t.tar", files)
    return [ImageRef(path, m.name, m.offset, m.size_bytes) for m in scan_archive(path).members]


def decoders() -> int:
    """Living decode threads."""
    return sum(t.name.startswith("teachmesh-decode") for t in threading.enumerate())


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_equal_a_plain_loop(tmp_path: Path, workers: int, batch_size: int) -> None:
    """Order and pixels are those of decoding one after another, whatever the threads do."""
    images = references(tmp_path, 40)
    batches = list(iterate_batches(images, SIDE, batch_size=batch_size, workers=workers))
    assert np.concatenate([b.indices for b in batches]).tolist() == list(range(40))
    assert all(len(b.indices) == batch_size for b in batches[:-1])
    pixels = torch.cat([b.images for b in batches])
    assert pixels.dtype == torch.uint8
    expected = np.stack([decode_image(image.read(), SIDE) for image in images])
    np.testing.assert_array_equal(pixels.numpy(), expected)
    assert decoders() == 0


def test_batches_lie_channels_last_in_memory(tmp_path: Path) -> None:
    """The layout that convolutions want costs no copy."""
    (batch,) = iterate_batches(references(tmp_path, 5), SIDE)
    assert batch.images.shape == (5, 3, SIDE, SIDE)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_unreadable_images_are_reported_with_position_and_reason(tmp_path: Path) -> None:
    """Cut-off and missing images are left out of the batch and named in `failed`."""
    images = references(tmp_path, 20, broken=(3, 4, 12))
    images[0] = ImageRef(tmp_path / "none.jpg")
    batches = list(iterate_batches(images, SIDE, batch_size=8))
    failed = [position for batch in batches for position, _ in batch.failed]
    assert failed == [0, 3, 4, 12]
    assert "none.jpg" in batches[0].failed[0][1]
    assert "damaged PNG file in" in batches[1].failed[0][1]
    for batch in batches:
        for row, index in enumerate(batch.indices):
            expected = decode_image(images[index].read(), SIDE)
            np.testing.assert_array_equal(batch.images[row].numpy(), expected)


def test_a_batch_without_a_readable_image_is_empty(tmp_path: Path) -> None:
    """Nothing is raised and no image is invented."""
    images = [ImageRef(tmp_path / f"{n}.jpg") for n in range(3)]
    (batch,) = iterate_batches(images, SIDE)
    assert batch.images.shape == (0, 3, SIDE, SIDE)
    assert len(batch.indices) == 0
    assert len(batch.failed) == 3


def test_no_images_give_no_batches() -> None:
    """An empty sequence is no error."""
    assert list(iterate_batches([], SIDE)) == []


def test_closing_early_stops_the_threads(tmp_path: Path) -> None:
    """Leaving the loop by close, by break or by an exception leaves no thread behind."""
    images = references(tmp_path, 40)
    batches = iterate_batches(images, SIDE, batch_size=4, workers=3)
    next(batches)
    assert decoders() > 0
    batches.close()  # type: ignore[attr-defined]
    assert decoders() == 0
    for _ in iterate_batches(images, SIDE, batch_size=4):
        break
    assert decoders() == 0


def test_decoding_runs_ahead_but_not_without_bound(tmp_path: Path) -> None:
    """While the consumer works, the next batches are decoded, and only those."""
    data = encoded(smooth(20, 20))
    opened: list[int] = []

    class Watched(ImageRef):
        """A real image in a file, whose reads are noted down."""

        def read(self) -> bytes:
            opened.append(int(self.path.stem))
            return super().read()

    write_folder(tmp_path, {f"{n}.png": data for n in range(100)})
    batches = iterate_batches(
        [Watched(tmp_path / f"{n}.png") for n in range(100)], SIDE, batch_size=5
    )
    next(batches)
    deadline_s = time.monotonic() + 60
    # One batch is out, the next ones are complete; nothing beyond is touched.
    expected = 5 * (2 + BATCHES_AHEAD)
    while len(opened) < expected and time.monotonic() < deadline_s:
        time.sleep(0.01)
    time.sleep(0.05)
    assert sorted(opened) == list(range(expected))
    batches.close()  # type: ignore[attr-defined]
