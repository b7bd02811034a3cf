"""Small mosaics in the format of the real mosaics, with three classes of coloured noise."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

TILE = 64
CLASSES = ("n01", "n02", "n03")


def write_mosaics(folder: Path) -> Path:
    """Write 60 training and 12 validation images of three classes; return the folder."""
    rng = np.random.default_rng(0)
    entries = [{"wnid": wnid, "name": wnid} for wnid in CLASSES]
    folder.mkdir(parents=True)
    (folder / "classes.json").write_text(json.dumps(entries))
    for split, rows, columns in (("train", 4, 5), ("val", 2, 2)):
        (folder / split).mkdir()
        for place, wnid in enumerate(CLASSES):
            shape = (rows * TILE, columns * TILE, 3)
            pixels = rng.integers(0, 80, shape, dtype=np.uint8)
            pixels[:, :, place] += 120
            Image.fromarray(pixels).save(folder / split / f"{wnid}.webp", lossless=True)
    return folder
