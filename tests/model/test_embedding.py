"""Images are embedded from files and from memory, and by several splits at once."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from teachmesh.data.image_inputs import ImageInput
from teachmesh.data.images import ImageRef
from teachmesh.data.tasks import Split
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.embedding import (
    BATCH_SIZE,
    embed_images,
    embed_splits,
)


def pictures(folder: Path, count: int, broken: tuple[int, ...]) -> tuple[ImageRef, ...]:
    """Write small noisy images, and some files that are not images."""
    rng = np.random.default_rng(0)
    refs = []
    for i in range(count):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(path)
        if i in broken:
            path.write_bytes(b"text")
        refs.append(ImageRef(path))
    return tuple(refs)


@pytest.mark.parametrize("cut", [0, 5, 19])
def test_splits_embedded_together_equal_slices_of_the_whole(tmp_path: Path, cut: int) -> None:
    """Positions count from the start of each split; failures are listed with their split."""
    images = pictures(tmp_path, BATCH_SIZE + 3, broken=(4, 17))
    backbone = load_backbone(tmp_path, "embedded")
    splits = [
        Split(part, np.zeros(len(part), dtype=np.int64)) for part in (images[:cut], images[cut:])
    ]
    counts: list[tuple[int, int]] = []
    one, two = embed_splits(backbone, splits, progress=lambda *count: counts.append(count))
    whole = embed_images(backbone, images, full_batches=True)
    assert np.array_equal(np.concatenate([one.kept, two.kept + cut]), whole.kept)
    assert np.array_equal(
        np.concatenate([one.latents.multi, two.latents.multi]), whole.latents.multi
    )
    assert [i for i, _ in one.failed] + [i + cut for i, _ in two.failed] == [4, 17]
    assert len(one.latents) == len(one.kept)
    assert counts[-1] == (len(images), len(images))


def test_an_image_has_the_same_latents_in_a_file_and_in_memory(tmp_path: Path) -> None:
    """Latents are bit-identical, and unreadable images are listed alike."""
    files = pictures(tmp_path, BATCH_SIZE + 3, broken=(4,))
    memory = [ImageInput(str(ref), ref.read()) for ref in files]
    memory[-1] = ImageInput(str(files[-1]), np.asarray(Image.open(files[-1].path)))
    backbone = load_backbone(tmp_path, "embedded")
    one = embed_images(backbone, [ImageInput(str(ref), ref) for ref in files])
    other = embed_images(backbone, memory)
    assert one.failed == other.failed
    assert np.array_equal(one.kept, other.kept)
    assert np.array_equal(one.latents.multi, other.latents.multi)
    assert np.array_equal(one.latents.last, other.latents.last)


def test_latents_do_not_depend_on_the_other_images_or_their_order(tmp_path: Path) -> None:
    """Random parts of a shuffled task give every image the same bits as the whole task does."""
    images = pictures(tmp_path, BATCH_SIZE + 5, broken=(4,))
    backbone = load_backbone(tmp_path, "embedded")
    whole = embed_images(backbone, images, full_batches=True)
    row = {int(i): n for n, i in enumerate(whole.kept)}
    rng = np.random.default_rng(1)
    for cut in (1, 9, 18):
        order = rng.permutation(len(images))
        for part in np.split(order, [cut]):
            found = embed_images(backbone, [images[i] for i in part], full_batches=True)
            rows = [row[int(i)] for i in part[found.kept]]
            assert np.array_equal(found.latents.multi, whole.latents.multi[rows])
            assert np.array_equal(found.latents.last, whole.latents.last[rows])


class Meeting:
    """An image that is decoded only while a second thread decodes another one."""

    def __init__(self, barrier: threading.Barrier) -> None:
        self._barrier = barrier

    def upright(self, size: int) -> np.ndarray:
        """Wait for the other thread, and return a grey image."""
        self._barrier.wait()
        return np.full((size, size, 1), 99, dtype=np.uint8)


def test_all_threads_decode_a_single_batch(tmp_path: Path) -> None:
    """Otherwise a few large photos would be decoded on one core."""
    backbone = load_backbone(tmp_path, "embedded")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        embedded = embed_images(backbone, [Meeting(threading.Barrier(2, timeout=60))] * 4)
    finally:
        torch.set_num_threads(before)
    assert len(embedded.kept) == 4
    assert not embedded.failed
