"""Packages with entry points, each visible to one test at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from teachmesh.data import entry_points

ROOT = Path(__file__).parents[2]
EXAMPLES = ("own_mapper", "own_baseline")
INSTALL = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
See = Callable[[Path], None]


def write_package(
    folder: Path, name: str, entries: Mapping[str, Mapping[str, str]], **modules: str
) -> None:
    """Write a distribution as an installer leaves it: modules and metadata.

    Args:
        folder: folder for modules; exists already if several packages share it.
        name: name of the distribution.
        entries: group -> name of the entry point -> object.
        modules: text of each module by its name.
    """
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, objects in entries.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in objects.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, installed by pip without network; copied first, because pip builds in place."""
    place = tmp_path_factory.mktemp("examples")
    sources = [shutil.copytree(ROOT / "examples" / name, place / name) for name in EXAMPLES]
    command = [sys.executable, "-m", "pip", "install", *INSTALL, "--target", str(place / "site")]
    subprocess.run([*command, *map(str, sources)], check=True)
    return place / "site"


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> Iterator[See]:
    """A function that makes the packages of a folder visible until the end of the test."""
    modules = set(sys.modules)

    def visible(folder: Path) -> None:
        monkeypatch.syspath_prepend(str(folder))
        forget()

    forget()
    yield visible
    for name in set(sys.modules) - modules:
        if not name.startswith(("teachmesh", "torch", "numpy")):
            del sys.modules[name]
    monkeypatch.undo()
    forget()


def hide(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Hide the packages of a folder again."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(folder)])
    forget()


def forget() -> None:
    """Forget all entry points, as a new process does."""
    entry_points._points.cache_clear()
    entry_points._loaded.cache_clear()
