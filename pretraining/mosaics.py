"""The pretraining images; each class has one mosaic of 64 x 64 tiles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pretraining.training_state import write_atomically

TILE = 64


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images with their labels.

    Attributes:
        pixels: N images as an (N, 64, 64, 3) uint8 array.
        labels: class index of each image, (N,) int64.
    """

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def load_pictures(
    data: Path, split: str, fraction: float = 1.0, cache: Path | None = None
) -> Pictures:
    """Read the images in all mosaics of a split.

    Args:
        data: folder with `classes.json`, `train/` and `val/`.
        split: "train" or "val".
        fraction: fraction of each class's tiles to keep, starting with the first.
        cache: folder for the decoded images, so that a restart does not decode them again.

    Raises:
        FileNotFoundError: a file is missing from the folder.
    """
    if cache is None:
        return _decode(data, split, fraction)
    pixels, labels = (cache / f"{split}-{fraction:g}-{kind}.npy" for kind in ("pixels", "labels"))
    if not labels.exists():
        pictures = _decode(data, split, fraction)
        # The labels are written last, so if they exist, the pixels are complete.
        write_atomically(pixels, lambda file: np.save(file, pictures.pixels))
        write_atomically(labels, lambda file: np.save(file, pictures.labels))
    return Pictures(np.load(pixels), np.load(labels))


def _decode(data: Path, split: str, fraction: float) -> Pictures:
    classes = json.loads((data / "classes.json").read_text(encoding="utf-8"))
    parts = [_tiles(data / split / f"{entry['wnid']}.webp") for entry in classes]
    kept = [part[: max(1, round(fraction * len(part)))] for part in parts]
    labels = np.repeat(np.arange(len(kept)), [len(part) for part in kept])
    return Pictures(np.concatenate(kept), labels.astype(np.int64))


def _tiles(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        mosaic = np.asarray(image.convert("RGB"))
    rows, columns = mosaic.shape[0] // TILE, mosaic.shape[1] // TILE
    tiles = mosaic.reshape(rows, TILE, columns, TILE, 3)  # (rows, 64, columns, 64, 3)
    return np.ascontiguousarray(tiles.transpose(0, 2, 1, 3, 4).reshape(-1, TILE, TILE, 3))
