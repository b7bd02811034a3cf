from pathlib import Path

import numpy as np
from PIL import Image

from pretraining.mosaics import load_pictures
from tests.pretraining.sample_mosaics import write_mosaics


def test_tiles_are_read_row_by_row(tmp_path: Path) -> None:
    """Tile k of a mosaic with 5 columns is in row k // 5 and column k % 5."""
    data = write_mosaics(tmp_path / "data")
    pictures = load_pictures(data, "train")
    with Image.open(data / "train" / "n02.webp") as image:
        mosaic = np.asarray(image.convert("RGB"))
    seventh = mosaic[64:128, 128:192]  # row 1, column 2
    assert pictures.labels.tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert np.array_equal(pictures.pixels[20 + 7], seventh)


def test_the_cache_gives_the_same_images_without_the_mosaics(tmp_path: Path) -> None:
    """A restart reads the decoded images; the mosaics are not opened again."""
    data = write_mosaics(tmp_path / "data")
    first = load_pictures(data, "train", 0.5, tmp_path)
    for mosaic in (data / "train").iterdir():
        mosaic.unlink()
    again = load_pictures(data, "train", 0.5, tmp_path)
    assert len(first) == 30
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.labels, again.labels)
