"""The demo's tasks: complete, reproducible, and with separate splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from teachmesh.data.tasks import read_task
from teachmesh_lab.demo.demo_tasks import PER_CLASS, plan_crops, write_demo_tasks

pytest.importorskip("skimage")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all demo tasks."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo_tasks(folder)
    return folder


@pytest.mark.parametrize(("width", "height"), [(512, 512), (384, 191), (1000, 872), (451, 300)])
def test_crops_of_different_splits_never_share_a_pixel(width: int, height: int) -> None:
    """Masks of the splits do not overlap, and all crops lie within the picture."""
    masks = {split: np.zeros((height, width), dtype=bool) for split in PER_CLASS}
    noise = np.random.default_rng(7).integers(256, size=(height, width), dtype=np.uint8)
    for crop in plan_crops(Image.fromarray(noise), seed=7):
        assert crop.left >= 0
        assert crop.top >= 0
        assert crop.left + crop.side <= width
        assert crop.top + crop.side <= height
        masks[crop.split][crop.top : crop.top + crop.side, crop.left : crop.left + crop.side] = True
    assert not (masks["train"] & masks["test"]).any()
    assert not (masks["train"] & masks["val"]).any()
    assert not (masks["val"] & masks["test"]).any()


def test_nine_tasks_are_written_and_can_be_read(demo: Path, tmp_path: Path) -> None:
    """Every class has images in every split; equal seeds write equal bytes."""
    folders = write_demo_tasks(tmp_path)
    assert len(folders) == 9
    for folder in folders:
        task = read_task(folder)
        assert len(task.train.images) == PER_CLASS["train"] * len(task.classes)
        assert len(task.test.images) == PER_CLASS["test"] * len(task.classes)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.glob("**/*.png"))
    assert len(files) > 1000
    for file in files[::37]:
        assert (tmp_path / file).read_bytes() == (demo / file).read_bytes()


def test_no_two_splits_hold_the_same_digit_or_face(demo: Path) -> None:
    """Each image is in one split only."""
    for task in ("digits", "faces"):
        seen: dict[bytes, str] = {}
        for split in PER_CLASS:
            for file in sorted((demo / task / split).rglob("*.png")):
                assert seen.setdefault(file.read_bytes(), split) == split
