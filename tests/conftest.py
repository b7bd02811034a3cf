"""What many tests share: one thread per process, small tasks drawn by code, fresh homes."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from teachmesh.data.procedural_images import procedural_images
from tests.forking.forked_popen import SERVER, forking
from tests.kept_passes import keeping
from tests.learned_homes import LearnedHomes

# The same examples in every run, however slow the machine is.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

COLOURS = {
    "warm": {"red": (220, 40, 30), "orange": (240, 140, 20), "yellow": (240, 220, 40)},
    "cold": {"blue": (30, 50, 220), "cyan": (30, 200, 220), "violet": (130, 40, 200)},
}
SIDE = 48


def write_task(folder: Path, name: str, *, per_class: int = 12, seed: int = 0) -> Path:
    """A task folder `<name>/<class>/*.png`: textured images tinted with the class's colour."""
    for place, data in _pictures(name, per_class, seed).items():
        target = folder / name / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder / name


@cache
def _pictures(name: str, per_class: int, seed: int) -> Mapping[str, bytes]:
    """Draw the files of a task; drawn once per process, because half of all tests need a task."""
    classes = COLOURS[name]
    textures = procedural_images(per_class * len(classes), SIDE, seed=seed + len(name))
    greys = textures.mean(axis=1, keepdims=True) / 255  # (N, 1, H, W)
    return {
        f"{label}/{number:02}.png": _tinted(greys[index * per_class + number], colour)
        for index, (label, colour) in enumerate(classes.items())
        for number in range(per_class)
    }


def _tinted(grey: np.ndarray, colour: tuple[int, int, int]) -> bytes:
    """Return (1, H, W) grey values in [0, 1], tinted, as a PNG file."""
    tint = np.array(colour, dtype=np.float64)[:, None, None]
    pixels = (0.35 * 255 * grey + 0.65 * tint).clip(0, 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def write_muddled_task(folder: Path, name: str) -> Path:
    """The same classes with every validation image in a wrong one: much seems left to gain."""
    source = write_task(folder / "sources", name)
    classes = list(COLOURS[name])
    for image in sorted(source.glob("*/*.png")):
        label = classes.index(image.parent.name)
        number = int(image.stem)
        split = "train" if number < 8 else "val" if number < 11 else "test"
        shown = classes[label - 1] if split == "val" else classes[label]
        target = folder / "muddled" / name / split / shown
        target.mkdir(parents=True, exist_ok=True)
        image.rename(target / f"{label}-{image.name}")
    return folder / "muddled" / name


def pytest_collection() -> None:
    """Search no garbage while all tests are imported: little of it is any."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave the modules and the thousands of tests out of every later search for garbage."""
    gc.enable()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _passes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compute the latents of equal batches once."""
    with keeping(tmp_path_factory.mktemp("passes")):
        yield


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return paths that nobody has used."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_home(
    request: pytest.FixtureRequest, _homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test sees or touches the home of the person who runs it, nor the list of agents.

    Its own ones are in the folder of the test. Most tests need no folder, and making one takes
    milliseconds.
    """
    has_folder = "tmp_path" in request.fixturenames
    place = request.getfixturevalue("tmp_path") if has_folder else next(_homes)
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "default-state"))
    monkeypatch.setenv("TEACHMESH_HOME", str(place / "default-home"))


@pytest.fixture(scope="session")
def _fork_server() -> Iterator[None]:
    """End the server after the last test."""
    yield
    SERVER.close()


@pytest.fixture(scope="module")
def forked_programs(_fork_server: None) -> Iterator[None]:
    """Fork the Python programs of a module's tests, so that they import nothing again."""
    with forking():
        yield


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> LearnedHomes:
    """Homes that learned the tasks of `write_task`; each is made once and copied for each test."""
    return LearnedHomes(tmp_path_factory.mktemp("learned"), write_task)


@pytest.fixture
def warm_is_known(learned: LearnedHomes, tmp_path: Path) -> None:
    """The default home has learned the task warm."""
    learned.copy(tmp_path / "default-home", "warm")


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    """A task of three warm colours."""
    return write_task(tmp_path / "tasks", "warm")


@pytest.fixture
def cold(tmp_path: Path) -> Path:
    """A task of three cold colours."""
    return write_task(tmp_path / "tasks", "cold")
