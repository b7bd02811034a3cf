"""Small tasks with real images from installed packages; nothing is downloaded.

Photographs are divided into a grid of blocks. Each block belongs to one split, and each crop lies
within one block. Therefore no pixel of a test image is in a training image; a unit test checks
this. Blocks without detail, such as plain sky or the black around a retina, are left out. Their
crops could be identical and would not show their class. Handwritten digits and faces are split by
image.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from teachmesh.errors import DataError, MissingExtraError, StorageError

SPLITS = ("train", "val", "test")
PER_CLASS = {"train": 24, "val": 8, "test": 12}
MIN_BLOCK = 64
"""Minimum side length of a block in pixels, if the picture is large enough."""
MIN_DETAIL = 6.0
"""Minimum standard deviation of a crop's grey levels (0 to 255) for visible detail."""
DIGIT_SIDE = 64
_DRAWS = 64

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
    "medicine": {
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
    },
}
"""Picture files by task and class, each as ((package, folder in the package), file).

Pictures left out are the horse (a silhouette, so crops are black or white), the cell (only two
blocks are not empty), and the colour wheel and the phantom (which are not photographs).
"""


@dataclass(frozen=True)
class Crop:
    """A square part of a picture.

    Attributes:
        left: left edge in pixels.
        top: top edge in pixels.
        side: side length in pixels.
        split: "train", "val" or "test".
    """

    left: int
    top: int
    side: int
    split: str


def write_demo_tasks(
    folder: Path, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write nine task folders with images `<task>/{train,val,test}/<class>/<n>.png`.

    Args:
        folder: parent folder of the tasks; created if it does not exist.
        seed: seed for crops and splits.
        progress: called with (tasks written, total tasks) after each task.

    Returns:
        The task folders, sorted by name.

    Raises:
        MissingExtraError: scikit-learn or scikit-image is not installed.
        StorageError: the folder cannot be written.
    """
    names = sorted((*_WRITERS, *PICTURES))
    try:
        for done, task in enumerate(names, start=1):
            write_demo_task(folder, task, seed)
            if progress is not None:
                progress(done, len(names))
    except OSError as error:
        raise StorageError(
            f"could not write demo tasks to {folder}: {error.strerror or error}"
        ) from error
    return [folder / task for task in names]


def write_demo_task(folder: Path, name: str, seed: int = 0) -> Path:
    """Write one task, with images `<folder>/<name>/{train,val,test}/<class>/<n>.png`.

    Args:
        folder: parent folder of the task.
        name: "digits", "faces" or one of `PICTURES`.
        seed: seed for crops and splits.

    Raises:
        MissingExtraError: scikit-learn or scikit-image is not installed.
        OSError: the folder cannot be written.
    """
    if name in _WRITERS:
        _WRITERS[name](folder / name, seed)
    else:
        _write_crops(folder / name, name, seed)
    return folder / name


def plan_crops(picture: Image.Image, seed: int) -> list[Crop]:
    """Choose crops with visible detail from one picture; each block belongs to one split.

    Args:
        picture: a picture of any size and mode.
        seed: seed for the assignment of blocks and the positions of crops.

    Raises:
        DataError: fewer than three blocks have detail, so a split would be empty.
    """
    random = np.random.default_rng(seed)
    grey = np.asarray(picture.convert("L"), dtype=np.float64)  # (H, W)
    blocks = _lively_blocks(grey)
    if len(blocks) < len(SPLITS):
        raise DataError(
            f"expected detail in {len(SPLITS)} blocks of a picture, found it in {len(blocks)}"
        )
    order = [blocks[i] for i in random.permutation(len(blocks))]
    n_test = n_val = max(1, len(order) // 5)
    of_split = {
        "test": order[:n_test],
        "val": order[n_test : n_test + n_val],
        "train": order[n_test + n_val :],
    }
    return [
        _draw_crop(grey, of_split[split], split, random)
        for split in SPLITS
        for _ in range(PER_CLASS[split])
    ]


def _lively_blocks(grey: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return (left, top, width, height) of each block with detail in an (H, W) picture."""
    height, width = grey.shape
    columns = min(6, max(3, width // MIN_BLOCK))
    rows = min(6, max(3, height // MIN_BLOCK))
    wide, high = width // columns, height // rows
    places = [(x * wide, y * high) for y in range(rows) for x in range(columns)]
    return [
        (left, top, wide, high)
        for left, top in places
        if grey[top : top + high, left : left + wide].std() >= MIN_DETAIL
    ]


def _draw_crop(
    grey: np.ndarray,
    blocks: list[tuple[int, int, int, int]],
    split: str,
    random: np.random.Generator,
) -> Crop:
    """Draw crops until one has detail; after `_DRAWS` draws, return the most detailed one."""
    best, best_detail = None, -1.0
    for _ in range(_DRAWS):
        left, top, width, height = blocks[int(random.integers(len(blocks)))]
        largest = min(width, height)
        side = int(random.integers(int(0.7 * largest), largest + 1))
        x = left + int(random.integers(width - side + 1))
        y = top + int(random.integers(height - side + 1))
        detail = float(grey[y : y + side, x : x + side].std())
        if detail > best_detail:
            best, best_detail = Crop(x, y, side, split), detail
        if best_detail >= MIN_DETAIL:
            break
    assert best is not None
    return best


def _picture_seed(seed: int, number: int) -> int:
    return seed + 1000 * number


def _open(task: str, name: str) -> Image.Image:
    (package, folder), file = PICTURES[task][name]
    with Image.open(_package_folder(package) / folder / file) as opened:
        picture: Image.Image = opened.convert("RGB")
    return picture


def _write_crops(target: Path, task: str, seed: int) -> None:
    for number, name in enumerate(PICTURES[task]):
        picture = _open(task, name)
        counters = dict.fromkeys(SPLITS, 0)
        for crop in plan_crops(picture, _picture_seed(seed, number)):
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
    """Write images with and without faces from Labeled Faces in the Wild (in scikit-image)."""
    path = _package_folder("skimage") / "data" / "lfw_subset.npy"
    images = (np.load(path, allow_pickle=False) * 255).astype(np.uint8)  # (200, 25, 25)
    random = np.random.default_rng(seed)
    for name, first in (("face", 0), ("not a face", 100)):
        rows = first + random.permutation(100)[: sum(PER_CLASS.values())]
        pictures = [
            Image.fromarray(images[row]).resize((75, 75), Image.Resampling.BICUBIC) for row in rows
        ]
        _save_in_order(pictures, target, name)


_WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "digits": _write_digits,
    "faces": _write_faces,
}


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
    # Compression level 1 of 9 is five times faster, and the folder is temporary.
    picture.save(folder / f"{counters[split]:03}.png", compress_level=1)
    counters[split] += 1


def _package_folder(package: str) -> Path:
    """Return the folder of a package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        names = {"skimage": "scikit-image", "sklearn": "scikit-learn"}
        raise MissingExtraError(names.get(package, package), "bench")
    return Path(spec.origin).parent
