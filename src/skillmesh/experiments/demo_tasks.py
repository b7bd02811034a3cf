"""Small tasks of real images that come inside ordinary packages: nothing is downloaded.

Crops of photographs are taken from a grid of blocks; a block belongs to one split, and a crop lies
within one block, so no pixel of a test image was ever seen in training. Handwritten digits and
faces are split by image.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from skillmesh.errors import MissingExtraError, StorageError

SPLITS = ("train", "val", "test")
PER_CLASS = {"train": 24, "val": 8, "test": 12}
MIN_BLOCK = 64
"""Smallest side of a block in pixels, where the picture allows."""
DIGIT_SIDE = 64

_SKIMAGE = "skimage", "data"
_SKLEARN = "sklearn", "datasets/images"
_MATPLOTLIB = "matplotlib", "mpl-data/sample_data"

PICTURES: Mapping[str, Mapping[str, tuple[tuple[str, str], str]]] = {
    "textures": {
        "brick": (_SKIMAGE, "brick.png"),
        "grass": (_SKIMAGE, "grass.png"),
        "gravel": (_SKIMAGE, "gravel.png"),
    },
    "photographs": {
        "astronaut": (_SKIMAGE, "astronaut.png"),
        "cat": (_SKIMAGE, "chelsea.png"),
        "coffee": (_SKIMAGE, "coffee.png"),
        "motorcycle": (_SKIMAGE, "motorcycle_left.png"),
    },
    "microscope": {
        "cell": (_SKIMAGE, "cell.png"),
        "tissue": (_SKIMAGE, "ihc.png"),
        "retina": (_SKIMAGE, "retina.jpg"),
    },
    "sky": {
        "galaxies": (_SKIMAGE, "hubble_deep_field.jpg"),
        "moon": (_SKIMAGE, "moon.png"),
        "rocket": (_SKIMAGE, "rocket.jpg"),
    },
    "print": {
        "page": (_SKIMAGE, "page.png"),
        "handwriting": (_SKIMAGE, "text.png"),
    },
    "travel": {
        "temple": (_SKLEARN, "china.jpg"),
        "flower": (_SKLEARN, "flower.jpg"),
        "portrait": (_MATPLOTLIB, "grace_hopper.jpg"),
    },
    "grey": {
        "coins": (_SKIMAGE, "coins.png"),
        "cameraman": (_SKIMAGE, "camera.png"),
        "horse": (_SKIMAGE, "horse.png"),
    },
}
"""task -> class -> (package, folder in it), file."""


@dataclass(frozen=True)
class Crop:
    """A square of a picture.

    Attributes:
        left: of the square, in pixels.
        top: of the square, in pixels.
        side: in pixels.
        split: "train", "val" or "test".
    """

    left: int
    top: int
    side: int
    split: str


def write_demo_tasks(
    folder: Path, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write nine task folders, `<task>/{train,val,test}/<class>/<n>.png`.

    Args:
        folder: where to; made if it is not there.
        seed: of crops and splits.
        progress: called with (tasks written, tasks in all).

    Returns:
        The task folders, sorted by name.

    Raises:
        MissingExtraError: scikit-learn or scikit-image is not installed.
        StorageError: the folder cannot be written.
    """
    writers: dict[str, Callable[[Path], None]] = {
        "digits": lambda target: _write_digits(target, seed),
        "faces": lambda target: _write_faces(target, seed),
    }
    for task in PICTURES:
        writers[task] = lambda target, task=task: _write_crops(target, task, seed)  # type: ignore[misc]
    try:
        for done, task in enumerate(sorted(writers), start=1):
            writers[task](folder / task)
            if progress is not None:
                progress(done, len(writers))
    except OSError as error:
        raise StorageError(f"could not write demo tasks to {folder}: {error.strerror}") from error
    return [folder / task for task in sorted(writers)]


def plan_crops(width: int, height: int, seed: int) -> list[Crop]:
    """Crops of one picture, splits in blocks that do not touch.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        seed: of the assignment of blocks and the places of crops.
    """
    random = np.random.default_rng(seed)
    columns = min(6, max(3, width // MIN_BLOCK))
    rows = min(6, max(3, height // MIN_BLOCK))
    block_width, block_height = width // columns, height // rows
    order = random.permutation(columns * rows)
    n_test = n_val = max(1, len(order) // 5)
    of_split = {
        "test": order[:n_test],
        "val": order[n_test : n_test + n_val],
        "train": order[n_test + n_val :],
    }
    largest = min(block_width, block_height)
    crops = []
    for split in SPLITS:
        for _ in range(PER_CLASS[split]):
            row, column = divmod(int(random.choice(of_split[split])), columns)
            side = int(random.integers(int(0.7 * largest), largest + 1))
            left = column * block_width + int(random.integers(block_width - side + 1))
            top = row * block_height + int(random.integers(block_height - side + 1))
            crops.append(Crop(left, top, side, split))
    return crops


def _write_crops(target: Path, task: str, seed: int) -> None:
    for number, (name, ((package, folder), file)) in enumerate(PICTURES[task].items()):
        with Image.open(_package_folder(package) / folder / file) as opened:
            picture = opened.convert("RGB")
        counters = dict.fromkeys(SPLITS, 0)
        for crop in plan_crops(picture.width, picture.height, seed + 1000 * number):
            box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
            _save(picture.crop(box), target, crop.split, name, counters)


def _write_digits(target: Path, seed: int) -> None:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "bench") from error
    bunch = load_digits()
    images = (np.asarray(bunch.images) * 255 / 16).astype(np.uint8)  # (1797, 8, 8)
    random = np.random.default_rng(seed)
    for digit in range(10):
        rows = random.permutation(np.flatnonzero(bunch.target == digit))
        pictures = [
            Image.fromarray(images[row]).resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC)
            for row in rows[: sum(PER_CLASS.values())]
        ]
        _save_in_order(pictures, target, str(digit))


def _write_faces(target: Path, seed: int) -> None:
    """Labeled Faces in the Wild, the subset inside scikit-image: 100 faces, 100 other crops."""
    path = _package_folder("skimage") / "data" / "lfw_subset.npy"
    images = (np.load(path, allow_pickle=False) * 255).astype(np.uint8)  # (200, 25, 25)
    random = np.random.default_rng(seed)
    for name, first in (("face", 0), ("not a face", 100)):
        rows = first + random.permutation(100)[: sum(PER_CLASS.values())]
        pictures = [
            Image.fromarray(images[row]).resize((75, 75), Image.Resampling.BICUBIC) for row in rows
        ]
        _save_in_order(pictures, target, name)


def _save_in_order(pictures: list[Image.Image], target: Path, name: str) -> None:
    splits = [split for split in SPLITS for _ in range(PER_CLASS[split])]
    counters = dict.fromkeys(SPLITS, 0)
    for picture, split in zip(pictures, splits, strict=False):
        _save(picture, target, split, name, counters)


def _save(
    picture: Image.Image, target: Path, split: str, name: str, counters: dict[str, int]
) -> None:
    folder = target / split / name
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{counters[split]:03}.png")
    counters[split] += 1


def _package_folder(package: str) -> Path:
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        names = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
        raise MissingExtraError(names.get(package, package), "bench")
    return Path(spec.origin).parent
