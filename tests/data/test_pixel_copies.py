"""Images with equal pixels in different files are counted, and never both learned and tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from teachmesh.agent import Agent
from teachmesh.data import image_splits
from teachmesh.data.images import ImageRef
from teachmesh.data.pixel_copies import EqualFiles, HashedImages, pixel_remarks
from teachmesh.data.tasks import read_task
from teachmesh.errors import DataError


def hashed(*images: tuple[bytes, int]) -> HashedImages:
    """Images with these hashes and labels."""
    digests = np.array([digest for digest, _ in images], dtype="S32")
    return HashedImages(digests, np.array([label for _, label in images]))


def test_each_way_to_be_equal_has_a_remark_with_its_number() -> None:
    """Counted by hand; remarks about equal files are not repeated."""
    train = hashed((b"a", 0), (b"a", 0), (b"b", 0), (b"b", 1), (b"c", 1))
    remarks = pixel_remarks(
        {"train": train, "validation": hashed((b"a", 0), (b"d", 0)), "test": hashed((b"d", 0))}
    )
    assert remarks == (
        "1 validation image with the pixels of training images, left out",
        "1 test image with the pixels of learned images, left out of tests",
        "1 image in two classes, by pixels",
        "1 image twice in one class, by pixels: counted once",
    )
    assert pixel_remarks({"train": train}, EqualFiles(1, 1)) == ()
    assert pixel_remarks({"train": train}, EqualFiles(0, 1)) == (remarks[2],)
    (kept,) = pixel_remarks({"train": hashed((b"e", 0)), "validation": hashed((b"e", 0))})
    assert kept.endswith("training images, kept, because there are no others")


@pytest.fixture
def saved_again(tmp_path: Path) -> Path:
    """A task with splits: one training image is in all splits and classes, as other formats."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        for label in ("a", "b"):
            folder = tmp_path / "task" / split / label
            folder.mkdir(parents=True)
            for n in range(count):
                pixels = random.integers(0, 255, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels // (1 + (label == "b"))).save(folder / f"{n}.png")
    with Image.open(tmp_path / "task" / "train" / "a" / "0.png") as image:
        for place in ("test/a/x.bmp", "train/b/x.ppm", "train/a/x.tiff", "val/a/x.webp"):
            image.save(tmp_path / "task" / place, lossless=True)
    return tmp_path / "task"


def test_copies_in_other_formats_are_said_and_left_out(saved_again: Path, tmp_path: Path) -> None:
    """`learn` says so with counts, the card does not; `evaluate` leaves the test image out."""
    agent = Agent(tmp_path / "home")
    found = agent.learn(saved_again)
    remarks = [
        "1 validation image with the pixels of training images, left out",
        "1 test image with the pixels of learned images, left out of tests",
        "1 image in two classes, by pixels",
        "1 image twice in one class, by pixels: counted once",
    ]
    assert [remark for remark in found.warnings if "pixels" in remark] == remarks
    card = agent.card(found.skill_id)
    assert not any("pixels" in warning for warning in card["warnings"])
    assert (card["images_per_class"], card["validation_images"]) == ([6, 7], 4)
    evaluation = agent.evaluate(saved_again)
    assert (evaluation.n_images, evaluation.shared) == (6, 1)
    for file in (saved_again / "test").rglob("*.png"):
        file.unlink()
    with pytest.raises(DataError, match="test images that were not learned, got 1"):
        agent.evaluate(saved_again)


def test_each_file_is_read_once_before_it_is_decoded(
    tmp_path: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Splits by content and the search for equal files use the same hashes."""
    for file in warm.rglob("*.png"):
        file.with_suffix(".copy.png").write_bytes(file.read_bytes())
    read: list[ImageRef] = []
    plain = ImageRef.read

    def counted(image: ImageRef) -> bytes:
        read.append(image)
        return plain(image)

    monkeypatch.setattr(ImageRef, "read", counted)
    task: Any = read_task(warm)
    assert len(read) == len(set(read)) == 72
    assert task.equal_files.twice > 0
    assert image_splits.ContentHashes().of(ImageRef(tmp_path / "none")) == image_splits.UNREADABLE
