"""Every command has help with examples, starts fast, and reads all of its options."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from teachmesh.cli.main import app
from teachmesh_lab.cli.cli_reference import command_paths


def _command(path: tuple[str, ...]) -> Any:
    found: Any = typer.main.get_command(app)
    for name in path:
        found = found.get_command(typer.Context(found), name)
    return found


def _callback(path: tuple[str, ...]) -> Callable[..., None]:
    """Return the function of a command."""
    function: Callable[..., None] = inspect.unwrap(_command(path).callback)
    return function


IDS = list(command_paths(typer.main.get_command(app)))
COMMANDS = [(path, _callback(path)) for path in IDS]


def test_every_command_is_found() -> None:
    """The list has commands of the product and of the laboratory, in and outside groups."""
    assert {("learn",), ("skills", "list"), ("bench", "run"), ("demo",)} < set(IDS)


@pytest.mark.parametrize("path", IDS, ids=" ".join)
def test_every_help_shows_two_examples_of_that_command(path: tuple[str, ...]) -> None:
    """The help shows at least two complete command lines."""
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    examples = re.findall(rf"teachmesh {' '.join(path)}\b", result.output)
    assert len(examples) >= 2


@pytest.mark.parametrize("path", IDS, ids=" ".join)
def test_a_command_that_is_parsed_alone_has_both_names_of_help(path: tuple[str, ...]) -> None:
    """`service print` checks the options of `up` without the group above it."""
    command = _command(path)
    context = command.make_context(path[-1], [], resilient_parsing=True)
    assert set(command.get_help_option_names(context)) == {"-h", "--help"}


@pytest.mark.parametrize(("path", "function"), COMMANDS, ids=map(" ".join, IDS))
def test_every_option_is_read(path: tuple[str, ...], function: Callable[..., None]) -> None:
    """Each parameter occurs in the body of the command, so that no option is ignored."""
    source = inspect.getsource(function)
    body = source[source.index('"""') :]
    for name in inspect.signature(function).parameters:
        assert re.search(rf"\b{name}\b", body), f"{' '.join(path)} never reads {name}"


@pytest.mark.parametrize("path", IDS, ids=" ".join)
def test_every_command_takes_home_and_json(path: tuple[str, ...]) -> None:
    """`--home` and `--json` work everywhere."""
    output = CliRunner().invoke(app, [*path, "--help"]).output
    assert "--home" in output
    assert "--json" in output


def test_help_and_version_load_nothing_heavy() -> None:
    """`teachmesh --help` imports no torch, numpy, network or cryptography."""
    code = (
        "import sys; sys.argv = ['teachmesh', '--version']\n"
        "from teachmesh.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'zenoh', 'cryptography', 'safetensors'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_misspelt_command_names_the_right_one() -> None:
    """`lern` is answered with `learn` and the exit code of usage errors."""
    result = CliRunner().invoke(app, ["lern"])
    assert result.exit_code == 2
    assert "learn" in result.output


def test_a_misspelt_option_names_the_right_one() -> None:
    """`--hme` is answered with `--home`."""
    result = CliRunner().invoke(app, ["status", "--hme", "x"])
    assert result.exit_code == 2
    assert "--home" in result.output
