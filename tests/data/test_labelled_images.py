"""Tasks from images in memory and from data sets: every form is the same task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from teachmesh.data.read_labelled import read_labelled
from teachmesh.data.tasks import Task
from teachmesh.errors import DataError, TeachmeshError, UsageError
from tests.data.pictures import encoded, smooth

NAMES = ["ant", "bee", "cow"]
IMAGES = np.stack([smooth(9, 12, seed) for seed in range(24)])
LABELS = np.arange(24) % 3
TEXTS = [NAMES[label] for label in LABELS]


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """A torch data set as torchvision makes them: tensors, numbers, and `classes`."""

    classes = NAMES

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(IMAGES[index]).permute(2, 0, 1) / 255, int(LABELS[index])


class Restless(Photos):
    """A data set with a random transform: every image differs each time it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.reads += 1
        image, label = super().__getitem__(index)
        return (image + self.reads / 1000).clamp(0, 1), label


class ClassLabel:
    """Like the feature of Hugging Face `datasets` with this name."""

    def __init__(self, names: list[str]) -> None:
        self.names = names


class Split:
    """Like a split of Hugging Face `datasets`: features, columns, rows by position."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any]) -> None:
        self.columns, self.features, self.column_names = columns, features, list(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}


ImageFeature = type("Image", (), {})
PILLOW = [Image.fromarray(image) for image in IMAGES]
COLUMNS = {"picture": PILLOW, "insect": LABELS.tolist()}
FEATURES = {"picture": ImageFeature(), "insect": ClassLabel(NAMES)}
FORMS: dict[str, Any] = {
    "arrays and texts": (IMAGES, TEXTS),
    "tensors and texts": (torch.from_numpy(IMAGES).permute(0, 3, 1, 2), np.array(TEXTS)),
    "floats, in another order": (list(IMAGES[::-1] / 255), TEXTS[::-1]),
    "Pillow, generator": ((image for image in PILLOW), TEXTS),
    "mapping": {name: IMAGES[place == LABELS] for place, name in enumerate(NAMES)},
    "pairs": [(encoded(image), text) for image, text in zip(IMAGES, TEXTS, strict=True)],
    "torch data set": Photos(),
    "torch subset": Subset(Photos(), range(24)),
    "datasets split": Split(COLUMNS, FEATURES),
}


def _facts(task: Task) -> dict[str, Any]:
    return {
        name: (split.labels.tolist(), [image.read() for image in split.images])
        for name in ("train", "validation", "test")
        for split in [getattr(task, name)]
    } | {"classes": task.classes}


EXPECTED = _facts(read_labelled((IMAGES, TEXTS), name="insects"))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_task(form: str) -> None:
    """Equal pixels are in the same split and order, whatever holds them, in any order."""
    task = read_labelled(FORMS[form], name="insects")
    assert _facts(task) == EXPECTED
    assert task.classes == tuple(NAMES)
    assert task.unreadable == ()
    sizes = [len(part) for part in (task.train, task.validation, task.test)]
    assert sum(sizes) == 24
    assert min(sizes) >= 1


def test_numbers_without_names_are_names_themselves() -> None:
    """Labels of numpy, torch and Python are the classes "0", "1" and "2"."""
    for labels in (LABELS, torch.from_numpy(LABELS), LABELS.tolist()):
        assert read_labelled((IMAGES, labels), name="x").classes == ("0", "1", "2")


def test_folders_and_files_may_stand_for_images(tmp_path: Any) -> None:
    """A mapping may name folders, and a list of labelled images may name files."""
    for number, (text, image) in enumerate(zip(TEXTS, IMAGES, strict=True)):
        (tmp_path / text).mkdir(exist_ok=True)
        (tmp_path / text / f"{number:02}.png").write_bytes(encoded(image))
    files = sorted(tmp_path.rglob("*.png"))
    by_class = read_labelled({n: tmp_path / n for n in NAMES}, name="x", split=(0, 0))
    by_file = read_labelled((files, [file.parent.name for file in files]), name="x", split=(0, 0))
    for task in (by_class, by_file):
        assert sorted(str(image) for image in task.train.images) == [str(file) for file in files]


def test_unreadable_images_are_left_out_and_named() -> None:
    """A few are skipped with their positions; many are an error."""
    images = [encoded(image) for image in IMAGES]
    images[4] = b"no image"
    task = read_labelled((images, TEXTS), name="x")
    assert len(task.unreadable) == 1
    assert "got text in 'image 5'" in task.unreadable[0]
    images[:8] = [b""] * 8
    with pytest.raises(DataError, match="readable images"):
        read_labelled((images, TEXTS), name="x")


def test_copies_are_found_by_their_pixels() -> None:
    """An image that occurs as array and as file is in one split only, so it never tests itself."""
    images = [*IMAGES, *(encoded(image) for image in IMAGES)]
    task = read_labelled((images, TEXTS * 2), name="x")
    parts = [{i.read() for i in s.images} for s in (task.train, task.validation, task.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(IMAGES)


def test_images_that_change_when_they_are_read_again_are_refused() -> None:
    """A random transform would make a skill that depends on how often images are read."""
    task = read_labelled(Restless(), name="x")
    with pytest.raises(DataError, match="random transforms"):
        task.train.images[0].upright(64)


def _split(**changes: Any) -> Split:
    features = {**FEATURES, **changes}
    return Split({name: COLUMNS.get(name, [0] * 24) for name in features}, features)


class Stream(IterableDataset[int]):
    """A torch data set that cannot be read by position."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


BAD: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "a number": lambda: 5,
    "an array": lambda: IMAGES,
    "bytes": lambda: b"x",
    "no image": lambda: [],
    "no class": dict,
    "one class": lambda: {"ant": IMAGES},
    "too few labels": lambda: (IMAGES, TEXTS[1:]),
    "a text for labels": lambda: (IMAGES, "ant"),
    "no labels": lambda: (IMAGES, None),
    "a single image": lambda: (IMAGES[0], TEXTS),
    "bytes for images": lambda: (b"x", TEXTS),
    "a negative label": lambda: (IMAGES, LABELS - 1),
    "a float label": lambda: (IMAGES, LABELS / 1),
    "a bool label": lambda: (IMAGES, LABELS == 1),
    "an empty name": lambda: {"": IMAGES[:2], "a": IMAGES[2:]},
    "no name": lambda: {None: IMAGES[:2], "a": IMAGES[2:]},
    "one-hot labels": lambda: (IMAGES, np.eye(3)[LABELS]),
    "triples": lambda: [(image, text, 1) for image, text in zip(IMAGES, TEXTS, strict=True)],
    "images only": lambda: list(IMAGES),
    "a loader": lambda: DataLoader(Photos()),
    "a torch stream": Stream,
    "a label beyond the names": lambda: _split(insect=ClassLabel(NAMES[:2])),
    "several label columns": lambda: _split(species=ClassLabel(NAMES)),
    "no label column": lambda: Split({"picture": PILLOW}, {"picture": ImageFeature()}),
    "splits": lambda: {"train": Split(COLUMNS, FEATURES)},
    "unusual sizes": lambda: ([np.zeros((3, 3, 3), np.uint8)] * 24, TEXTS),
}


@pytest.mark.parametrize("name", BAD)
def test_data_that_is_no_task_is_refused_with_one_sentence(name: str) -> None:
    """Every error is a `DataError` with the expected and the actual value."""
    with pytest.raises(DataError, match=r"^expected .*(got|many)") as caught:
        read_labelled(BAD[name](), name="x")
    assert "\n" not in str(caught.value)


def test_a_task_without_a_folder_needs_a_name_and_no_layout() -> None:
    """Names of tasks come from folders otherwise."""
    with pytest.raises(UsageError, match="expected a name"):
        read_labelled((IMAGES, TEXTS))
    with pytest.raises(UsageError, match="layout with a folder only"):
        read_labelled((IMAGES, TEXTS), name="x", layout="splits")
    with pytest.raises(TeachmeshError, match="task name"):
        read_labelled((IMAGES, TEXTS), name="a/b")
