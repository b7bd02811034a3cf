"""Commands of other packages: they work, and a broken one breaks no other command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from teachmesh.cli.main import PRODUCT

MODULE = '''
import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit
from teachmesh.cli.shared_options import HomeOption, JsonOption


def greet(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Say hello."""
    emit({"schema": "other.hello/1", "home": str(home), "json": json_output})


def register(app):
    command(app, "hello", "teachmesh hello", "teachmesh hello --json")(greet)
    group = application("More greetings.")
    command(group, "hi", "teachmesh greetings hi", "teachmesh greetings hi --json")(greet)
    app.add_typer(group, name="greetings")


def taken(app):
    command(app, "status", "teachmesh status", "teachmesh status --json")(greet)


def fails(app):
    command(app, "half", "teachmesh half", "teachmesh half --json")(greet)
    raise ValueError("no\\nluck")


not_callable = 3
'''
ENTRY_POINTS = """
[teachmesh.commands]
good = other_package:register
status = other_package:taken
z-fails = other_package:fails
z-number = other_package:not_callable
z-nothing = other_package:nothing
z-missing = missing_package:register
z-raises = raising_package:register
z-exits = exiting_package:register
"""
REMARKS = {
    "status": "there is another command 'status'",
    "z-fails": "ValueError: no luck",
    "z-number": "TypeError: 'int' object is not callable",
    "z-nothing": "AttributeError",
    "z-missing": "ModuleNotFoundError: No module named 'missing_package'",
    "z-raises": "ZeroDivisionError: division by zero",
    "z-exits": "SystemExit: 7",
}


pytestmark = pytest.mark.usefixtures("forked_programs")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with an installed distribution: one good entry point and several bad ones."""
    folder = tmp_path / "packages"
    metadata = folder / "other_package-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "other_package.py").write_text(MODULE)
    (folder / "raising_package.py").write_text("1 / 0\n")
    (folder / "exiting_package.py").write_text("import sys\nsys.exit(7)\n")
    return folder


def run(packages: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Return stdout and stderr of a command in a process with the packages on its path."""
    path = os.pathsep.join([str(packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "teachmesh", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_commands_of_another_package_are_listed_and_run(packages: Path) -> None:
    """A command and a group follow those of the product."""
    output, _ = run(packages, "--help")
    commands = [line.split()[0] for line in output.split("Commands:")[1].splitlines() if line]
    assert commands[: len(PRODUCT)] == list(PRODUCT)
    assert {"hello", "greetings"} < set(commands)
    assert "half" not in commands
    assert '"json": true' in run(packages, "hello", "--json")[0]
    assert '"json": true' in run(packages, "greetings", "hi", "--json")[0]
    assert "teachmesh hello --json" in run(packages, "hello", "--help")[0]


def test_broken_entry_points_are_left_out_with_one_remark_each(packages: Path) -> None:
    """Each remark is one line on stderr with the entry point and the reason."""
    remarks = run(packages, "--help")[1].splitlines()
    assert len(remarks) == len(REMARKS)
    for remark, (name, reason) in zip(remarks, sorted(REMARKS.items()), strict=True):
        assert remark.startswith(f"remark: {name!r} (")
        assert reason in remark


def test_commands_of_the_product_do_not_load_other_packages(packages: Path) -> None:
    """`status` prints no remark; a misspelt name still gets a hint."""
    output, remarks = run(packages, "status", "--json")
    assert '"schema": "teachmesh.status/1"' in output
    assert remarks == ""
    assert "Did you mean 'hello'?" in run(packages, "helo", code=2)[1]
