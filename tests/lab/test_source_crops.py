"""Sources of the demo's crops: no pixel of a test image is in a training image."""

from __future__ import annotations

import hashlib
import importlib.util
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from teachmesh.errors import DataError, MissingExtraError
from teachmesh_lab.demo.demo_tasks import (
    MIN_DETAIL,
    PICTURES,
    SPLITS,
    Crop,
    _open,
    _picture_seed,
    plan_crops,
    write_demo_tasks,
)

pytest.importorskip("sklearn")
pytest.importorskip("skimage")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write the tasks of seed 0 once."""
    return write_demo_tasks(tmp_path_factory.mktemp("demo"), seed=0)


def source_crops(seed: int) -> dict[tuple[str, str], list[Crop]]:
    """Return (task, class) -> rectangles of the class's one picture.

    The n-th rectangle of a split is the file `<task>/<split>/<class>/<n>.png`.
    """
    return {
        (task, name): plan_crops(_open(task, name), _picture_seed(seed, number))
        for task, classes in PICTURES.items()
        for number, name in enumerate(classes)
    }


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _overlap(one: Crop, other: Crop) -> bool:
    return (
        one.left < other.left + other.side
        and other.left < one.left + one.side
        and one.top < other.top + other.side
        and other.top < one.top + one.side
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_pixel_of_a_test_crop_lies_in_a_crop_of_another_split(seed: int) -> None:
    """Crops of one picture are compared pairwise across splits."""
    for crops in source_crops(seed).values():
        for one in crops:
            assert not any(_overlap(one, other) for other in crops if other.split != one.split)


def test_a_picture_belongs_to_one_class_only() -> None:
    """Otherwise the test above would miss overlaps between two classes."""
    files = [source for classes in PICTURES.values() for source in classes.values()]
    assert len(files) == len(set(files))


def test_the_files_match_the_rectangles(folders: list[Path]) -> None:
    """The size of every file equals the size of its rectangle in `source_crops`."""
    for (task, name), crops in source_crops(0).items():
        for split in SPLITS:
            sides = [crop.side for crop in crops if crop.split == split]
            files = sorted((folders[0].parent / task / split / name).iterdir())
            assert [_pixels(file).shape[0] for file in files] == sides


def test_no_image_is_in_two_splits(folders: list[Path]) -> None:
    """Crops of areas without detail could be equal although their rectangles do not overlap."""
    for folder in folders:
        seen: dict[str, set[str]] = defaultdict(set)
        for file in folder.rglob("*.png"):
            digest = hashlib.sha256(_pixels(file).tobytes()).hexdigest()
            seen[digest].add(file.relative_to(folder).parts[0])
        assert all(len(splits) == 1 for splits in seen.values()), folder.name


def test_every_crop_has_detail(folders: list[Path]) -> None:
    """The grey levels of each crop of a photograph vary by at least `MIN_DETAIL`."""
    for folder in folders:
        if folder.name in PICTURES:
            for file in folder.rglob("*.png"):
                with Image.open(file) as picture:
                    assert np.asarray(picture.convert("L"), dtype=np.float64).std() >= MIN_DETAIL


def test_a_picture_without_detail_is_an_error_not_an_empty_class() -> None:
    """The message gives the expected and the actual number of blocks."""
    with pytest.raises(DataError, match="expected detail in 3 blocks of a picture, found it in 0"):
        plan_crops(Image.new("RGB", (256, 256), "navy"), 0)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install "teachmesh[bench]"` installs the package."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "skimage" else real(name)
    )
    with pytest.raises(MissingExtraError, match=r"scikit-image.*teachmesh\[bench\]"):
        write_demo_tasks(tmp_path)
