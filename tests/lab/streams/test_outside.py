"""External streams, on local files in their real layouts: torchvision, the hub, SKILL-102."""

from __future__ import annotations

import importlib.util
import io
import json
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from teachmesh.data.tasks import read_task
from teachmesh.errors import DataError, UsageError
from teachmesh_lab.bench.cell import portable
from teachmesh_lab.streams.manifest import MAX_CLASSES, MAX_TEST, MAX_TRAIN, ManifestTask
from teachmesh_lab.streams.skill102 import cap, skill102_tasks
from teachmesh_lab.streams.task_stream import (
    StreamSpec,
    open_stream,
    source_name,
    stream_digest,
)
from tests.conftest import write_task

needs_torchvision = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None, reason="needs torchvision"
)


def _picture(value: int, kind: str = "png") -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()


def _write_idx(path: Path, array: np.ndarray) -> None:
    """Write the file format of MNIST: type, axes, big-endian sizes, bytes."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


@needs_torchvision
def test_torchvisions_mnist_is_read_from_its_files(tmp_path: Path) -> None:
    """Training and test images stay separate; validation images are taken from training."""
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(0)
    for part, count in (("train", 100), ("t10k", 20)):
        _write_idx(raw / f"{part}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28)))
        _write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    spec = StreamSpec("torchvision:MNIST", root=str(tmp_path / "root"))
    (task,) = open_stream(spec, 0, tmp_path / "cache").tasks()
    assert task.name == "MNIST"
    assert len(task.classes) == 10
    assert task.classes[3] == "3 - three"
    assert (len(task.train) + len(task.validation), len(task.test)) == (100, 20)
    few = StreamSpec("torchvision:MNIST", root=str(tmp_path / "root"), per_class=4)
    (task,) = open_stream(few, 0, tmp_path / "cache").tasks()
    assert (len(task.train) + len(task.validation), len(task.test)) == (40, 20)


@needs_torchvision
def test_an_unknown_set_or_missing_files_raise_clear_errors(tmp_path: Path) -> None:
    """The message for an unknown name suggests the closest one."""
    with pytest.raises(DataError, match="did you mean 'MNIST'"):
        open_stream(StreamSpec("torchvision:MNITS"), 0, tmp_path)
    with pytest.raises(DataError, match="put its files there"):
        open_stream(StreamSpec("torchvision:Places365", root=str(tmp_path / "no")), 0, tmp_path)
    with pytest.raises(UsageError, match="names of data sets"):
        open_stream(StreamSpec("torchvision:"), 0, tmp_path)


def test_parquet_shards_of_the_hub_become_a_task(tmp_path: Path) -> None:
    """Class names come from the hub's metadata; image bytes are unchanged."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    data = tmp_path / "root" / "someone" / "pets" / "data"
    data.mkdir(parents=True)
    for split, count in (("train", 20), ("validation", 4), ("test", 6)):
        images = [{"bytes": _picture(n, "jpeg"), "path": None} for n in range(count)]
        columns = {"image": images, "label": [n % 2 for n in range(count)]}
        shard = pyarrow.table(columns).replace_schema_metadata(metadata)
        parquet.write_table(shard, data / f"{split}-00000-of-00001.parquet")
    spec = StreamSpec("hf:someone/pets", root=str(tmp_path / "root"))
    (task,) = open_stream(spec, 0, tmp_path / "cache").tasks()
    assert task.classes == ("cat", "dog")
    assert [len(s) for s in (task.train, task.validation, task.test)] == [20, 4, 6]
    assert task.train.images[0].read() == _picture(0, "jpeg")


def test_image_folders_of_the_hub_are_used_in_place(tmp_path: Path) -> None:
    """No image is copied."""
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            folder = tmp_path / "root" / "someone" / "pets" / split / label
            folder.mkdir(parents=True)
            for n in range(4):
                (folder / f"{n}.png").write_bytes(_picture(n + 4 * (split == "test")))
    spec = StreamSpec("hf:someone/pets", root=str(tmp_path / "root"))
    stream = open_stream(spec, 0, tmp_path / "cache")
    assert stream.paths == (tmp_path / "root" / "someone" / "pets",)
    assert len(stream.tasks()[0].test) == 8


def _skill_tree(root: Path) -> None:
    """Write a small tree in the authors' layout: two tasks, problem rows, an unknown data set."""
    index = root / "0_collection" / "all_images.sqlite"
    index.parent.mkdir(parents=True)
    rows: list[tuple[str, str, str, int, int, int]] = []
    for dataset, classes in (("MIT_Indoor_Scenes", 3), ("102_Category_Flower_Dataset", 2)):
        for n in range(classes * 10):
            label, number = n % classes, n // classes
            split = 0 if number < 6 else 1 if number < 8 else 2
            path = f"images/{label}/picture {n}.png"
            target = root / dataset / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_picture(n))
            rows.append((dataset, f"hash{n}", path, label, split, 0))
        rows.append((dataset, "bad", "images/0/broken.png", 0, 0, 1))
    rows.append(("stranger", "x", "a.png", 0, 0, 0))
    with sqlite3.connect(index) as connection:
        connection.execute(
            "CREATE TABLE images (dataset TEXT, file_hash TEXT, relative_path TEXT, "
            "class_id INTEGER, set_id INTEGER, problem INTEGER)"
        )
        connection.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.close()


def test_skill_102_is_read_in_the_papers_order_from_its_authors_layout(tmp_path: Path) -> None:
    """Flowers are task 1; broken images and unknown data sets are ignored; splits are kept."""
    _skill_tree(tmp_path / "unpacked" / "collection")
    for root in (tmp_path / "unpacked", tmp_path / "unpacked" / "collection"):
        stream = open_stream(StreamSpec(f"skill-102:{root}"), 0, tmp_path / "cache")
        flowers, scenes = stream.tasks()
        assert (flowers.name, scenes.name) == ("102_Category_Flower_Dataset", "MIT_Indoor_Scenes")
        assert (len(flowers.classes), len(scenes.classes)) == (2, 3)
        assert [len(s) for s in (scenes.train, scenes.validation, scenes.test)] == [18, 6, 6]
        assert scenes.train.images[0].read().startswith(b"\x89PNG")


def test_the_limits_of_the_authors_loader_apply() -> None:
    """600 classes become 500; 66,000 training images become 108 per class, 54,000 in total."""
    rows = [
        (f"{label}/{n}", label, split)
        for label in range(600)
        for split, count in ((0, 110), (1, 2), (2, 13))
        for n in range(split * 1000, split * 1000 + count)
    ]
    kept = cap(rows)
    assert {label for _, label, _ in kept} == set(range(MAX_CLASSES))
    counts = [sum(1 for row in kept if row[2] == split) for split in range(3)]
    assert counts == [MAX_TRAIN, 2 * MAX_CLASSES, MAX_TEST]
    assert cap(reversed(rows)) == kept


def test_missing_or_packed_data_raises_a_clear_error(tmp_path: Path) -> None:
    """The message names the missing index and the archive to unpack."""
    with pytest.raises(DataError, match=r"all_images\.sqlite"):
        skill102_tasks(tmp_path / "nothing", tmp_path)
    (tmp_path / "skill-dataset.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"unpack 'skill-dataset\.zip'"):
        skill102_tasks(tmp_path, tmp_path)
    _skill_tree(tmp_path)
    with pytest.raises(DataError, match="none of them"):
        skill102_tasks(tmp_path, tmp_path, [ManifestTask("other", 2, 1, 1, 1, False)])


def test_a_changed_stream_has_another_digest(tmp_path: Path, warm: Path) -> None:
    """An additional image or another file size changes the digest."""
    before = stream_digest([read_task(warm)])
    assert before == stream_digest([read_task(warm)])
    extra = warm / "red" / "new.png"
    extra.write_bytes(_picture(1))
    with_one_more = stream_digest([read_task(warm)])
    extra.write_bytes(_picture(1) + b"\0")
    assert len({before, with_one_more, stream_digest([read_task(warm)])}) == 3


def test_a_folder_may_have_the_name_of_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a colon makes it another source. The source "." is named after the current folder."""
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "hf", "warm")
    write_task(tmp_path / "skill-102-mine", "cold")
    for source, name in (("hf", "warm"), ("skill-102-mine", "cold")):
        (task,) = open_stream(StreamSpec(source), 0, tmp_path / "cache").tasks()
        assert (task.name, source_name(source)) == (name, source)
    monkeypatch.chdir(tmp_path / "hf")
    assert source_name(".") == portable(StreamSpec(".")).source == "hf"
    assert portable(StreamSpec("hf:a/b", root="/x")) == StreamSpec("hf:a/b")
    assert portable(StreamSpec("skill-102:/data/here")).source == "skill-102"
