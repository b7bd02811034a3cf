"""The built-in stream: enough tasks, reproducible, complete splits, no duplicate images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from teachmesh.data.tasks import read_task
from teachmesh.errors import UsageError
from teachmesh_lab.demo.demo_tasks import PER_CLASS, PICTURES
from teachmesh_lab.streams.builtin_stream import ORDER
from teachmesh_lab.streams.drawn_tasks import DRAWN, write_drawn_task
from teachmesh_lab.streams.painters import SIDE
from teachmesh_lab.streams.task_stream import StreamSpec, open_stream


def test_the_order_names_every_task_once() -> None:
    """There are at least twenty tasks, of real and of drawn images."""
    assert len(ORDER) == len(set(ORDER)) >= 20
    assert set(ORDER) == {"digits", "faces", *PICTURES, *DRAWN}
    assert {"glyphs", "counting", "shapes", "orientation", "textures"} <= {
        task.kind for task in DRAWN.values()
    }


@pytest.mark.parametrize("name", ["counting_discs", "hues", "patterns"])
def test_a_drawn_task_is_determined_by_its_seed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal seeds give equal bytes, other seeds other images, and no image occurs twice."""
    for split, count in {"train": 8, "val": 3, "test": 5}.items():
        monkeypatch.setitem(PER_CLASS, split, count)
    for folder, seed in (("one", 0), ("two", 0), ("three", 1)):
        write_drawn_task(tmp_path / folder, name, seed)
    task = read_task(tmp_path / "one" / name)
    assert sorted(task.classes) == sorted(DRAWN[name].classes)
    n = len(task.classes)
    assert [len(s) for s in (task.train, task.validation, task.test)] == [
        n * count for count in PER_CLASS.values()
    ]
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.png"))
    contents = [(tmp_path / "one" / file).read_bytes() for file in files]
    assert len(set(contents)) == len(contents)
    assert contents == [(tmp_path / "two" / file).read_bytes() for file in files]
    assert not set(contents) & {(tmp_path / "three" / file).read_bytes() for file in files}


def test_every_painter_draws_every_class_in_one_size() -> None:
    """No image is uniform."""
    for task in DRAWN.values():
        for label in range(len(task.classes)):
            for number in range(3):
                pixels = np.asarray(task.paint(label, np.random.default_rng([label, number])))
                assert pixels.shape == (SIDE, SIDE, 3)
                assert pixels.std() > 4


def test_discs_can_be_counted() -> None:
    """The number of connected regions equals the number of the class."""
    measure = pytest.importorskip("skimage.measure")
    for label in range(5):
        pixels = np.asarray(
            DRAWN["counting_discs"].paint(label, np.random.default_rng([7, label])), dtype=np.int64
        )
        grey = pixels.sum(axis=2)
        border = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
        regions = measure.label(np.abs(grey - border) > 3 * 45)
        sizes = np.bincount(regions.ravel())[1:]
        assert (sizes > 20).sum() == label + 1


def test_folders_limits_and_orders(tmp_path: Path, warm: Path, cold: Path) -> None:
    """Tasks of a folder are selected by name, limited in number, and shuffled by the seed."""
    assert warm.parent == cold.parent
    folder = str(warm.parent)
    names = [p.name for p in open_stream(StreamSpec(folder), 0, tmp_path).paths]
    assert names == ["cold", "warm"]
    chosen = open_stream(StreamSpec(folder, only=("warm",)), 0, tmp_path)
    assert [p.name for p in chosen.paths] == ["warm"]
    assert len(open_stream(StreamSpec(folder, limit=1), 0, tmp_path).paths) == 1
    orders = {
        tuple(
            p.name for p in open_stream(StreamSpec(folder, order="shuffled"), seed, tmp_path).paths
        )
        for seed in range(8)
    }
    assert orders == {("cold", "warm"), ("warm", "cold")}
    with pytest.raises(UsageError, match="order"):
        open_stream(StreamSpec(folder, order="random"), 0, tmp_path)
