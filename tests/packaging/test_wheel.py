"""Wheel and sdist: they hold all files, and the core works without the packages of extras."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

import pytest

from tests.conftest import write_task
from tests.packaging.only_core import AND

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE")
BUILD = (
    "import setuptools.build_meta as b, sys; t = sys.argv[1]; b.build_sdist(t); b.build_wheel(t)"
)


class Release(NamedTuple):
    """The files of a release, and a folder into which the wheel is unpacked."""

    wheel: Path
    sdist: Path
    site: Path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Build both files from a copy of the sources; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("release")
    source, target, site = folder / "source", folder / "dist", folder / "site"
    copytree(ROOT / "src", source / "src", ignore=ignore_patterns("__pycache__", "*.egg-info"))
    for name in SOURCES:
        (source / name).write_bytes((ROOT / name).read_bytes())
    target.mkdir()
    command = [sys.executable, "-c", BUILD, str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return Release(wheel, sdist, site)


def files_of_packages() -> set[str]:
    """Return the files of both packages in the repository, without pages for developers."""
    return {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and ".egg-info" not in str(path)
        and path.suffix not in {".pyc", ".md"}
    }


def test_both_files_hold_all_files_of_both_packages(release: Release) -> None:
    """Weights, presets, pages and types, too; and no file of tests."""
    with zipfile.ZipFile(release.wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    with tarfile.open(release.sdist) as archive:
        kept = {name.partition("/src/")[2] for name in archive.getnames() if "/src/" in name}
    assert names == files_of_packages()
    assert {name for name in kept if ".egg-info" not in name} >= files_of_packages()


def core_packages(name: str = "teachmesh") -> Iterator[str]:
    """Yield a distribution and all that it requires without an extra."""
    seen, waiting = set[str](), [name]
    while waiting:
        package = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if package in seen:
            continue
        seen.add(package)
        yield package
        try:
            needed = requires(package) or []
        except PackageNotFoundError:  # needed on another system only
            continue
        waiting += [re.split(r"[^\w.-]", text)[0] for text in needed if "extra ==" not in text]


def modules_of_extras() -> list[str]:
    """Return the names of the installed modules that belong to no package of the core."""
    core = set(core_packages())
    owners = packages_distributions()
    names = {
        module: {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners[module]}
        for module in owners
    }
    return sorted(module for module, packages in names.items() if not packages & core)


class Machine:
    """A machine with the unpacked wheel and the core's packages only."""

    def __init__(self, release: Release, folder: Path) -> None:
        self.folder = folder
        self.refused = folder / "refused.json"
        self.refused.write_text(json.dumps(modules_of_extras()))
        self.site = release.site
        self.env = {**os.environ, "PYTHONPATH": str(release.site), "HOME": str(folder)}
        self.env |= {"TEACHMESH_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command of a fresh process."""
        program = str(Path(__file__).with_name("only_core.py"))
        return [sys.executable, program, str(self.refused), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run teachmesh, and return its output and exit code."""
        options = {"env": self.env, "cwd": self.folder, "capture_output": True, "text": True}
        return subprocess.run(self.command(*arguments), check=False, **options)


@pytest.fixture
def machine(release: Release, tmp_path: Path) -> Machine:
    """A machine with the unpacked wheel and the core's packages only."""
    return Machine(release, tmp_path)


def test_the_core_learns_answers_and_names_a_missing_extra(machine: Machine) -> None:
    """The code comes from the wheel; `up` listens, learns and ends on SIGTERM.

    The missing extra is one sentence with the command that installs it, and exit code 3.
    """
    task = write_task(machine.folder / "photos", "warm")
    up = machine.command("up", "--listen", "tcp/127.0.0.1:0", "--learn", str(task))
    with subprocess.Popen(up, env=machine.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        for word in ("listens on", "saved warm"):
            assert any(word in line for line in lines), word
        process.terminate()
        process.stdout.read()
    assert process.returncode == 0
    photo = sorted((task / "red").iterdir())[0]
    words = ("predict", str(photo), "--json", AND, "backbone", "add", "resnet10t")
    answer = machine.run(*words)  # one process: each one imports torch
    assert json.loads(answer.stdout)["predictions"][0]["class"] == "red"
    assert answer.returncode == 3
    assert 'pip install "teachmesh[timm]"' in answer.stderr
