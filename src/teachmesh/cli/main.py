"""The command-line application: commands, `--version` and shell completion."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from teachmesh.cli.clear_errors import emit_error
from teachmesh.cli.command import application
from teachmesh.cli.output import complain, note, say
from teachmesh.cli.streams import finish_stdout, help_errors, prepare_streams
from teachmesh.cli.verbosity import set_for_command
from teachmesh.cli.verbosity_options import QuietOption, VerboseOption
from teachmesh.errors import EXIT_OK, StorageError
from teachmesh.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Register = Callable[[typer.Typer], None]

# Some versions of typer have their own copy of click, whose classes are not public.
_CLICK_ERROR: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

COMMANDS_GROUP = "teachmesh.commands"
"""Entry-point group of functions `register(app: typer.Typer)` that add commands."""


PRODUCT: Mapping[str, str] = {
    "learn": "learn_command",
    "match": "match_command",
    "combine": "combine_command",
    "predict": "predict_command",
    "correct": "correct_command",
    "up": "up_command",
    "invite": "invite_command",
    "peers": "peers_commands",
    "config": "config_commands",
    "events": "events_command",
    "status": "status_commands",
    "doctor": "status_commands",
    "check": "repair_commands",
    "repair": "repair_commands",
    "service": "service_commands",
    "bundle": "bundle_commands",
    "export": "export_command",
    "identity": "identity_commands",
    "skills": "skills_commands",
    "backbone": "backbone_commands",
}
"""Module of each command or group, in the order of the help; imported when it is needed."""


class LazyCommands(TyperGroup):
    """Group that builds each command only when needed, because building all of them is slow.

    Entry points of other packages are read only to list all commands, or to find a command that
    teachmesh itself does not have.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, starting with those of teachmesh itself."""
        self._add_all(ctx)
        return [*PRODUCT, *(name for name in self.commands if name not in PRODUCT)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command with this name; None if there is none."""
        if cmd_name not in self.commands:
            if cmd_name in PRODUCT:
                self.commands.update(_built(_own(PRODUCT[cmd_name])))
            else:
                self._add_all(ctx)
        return self.commands.get(cmd_name)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run a command and exit; every error is one sentence, and with --json a document."""
        prepare_streams()
        arguments = sys.argv[1:] if args is None else list(args)
        try:
            with help_errors():
                found = super().main(arguments, *rest, **{**extra, "standalone_mode": False})
            code = found if isinstance(found, int) else EXIT_OK
        except _CLICK_ERROR as error:
            code = _show_usage_error(error, as_json="--json" in arguments)
        except typer.Abort:
            complain("aborted")
            code = 1
        except StorageError as error:
            complain(f"error: {error}")
            code = error.exit_code
        sys.exit(finish_stdout(code))

    def _add_all(self, ctx: Any) -> None:
        for name in PRODUCT:
            self.get_command(ctx, name)
        for name, command in _commands_of_other_packages().items():
            self.commands.setdefault(name, command)


def _own(module: str) -> Register:
    """Return the function of a module of this package that registers its commands."""
    register: Register = import_module(f"teachmesh.cli.{module}").register
    return register


@cache
def _commands_of_other_packages() -> Mapping[str, Any]:
    """Return the commands of all entry points in `COMMANDS_GROUP`, by name."""
    from importlib.metadata import entry_points

    found: dict[str, Any] = {}
    for point in sorted(entry_points(group=COMMANDS_GROUP), key=lambda point: point.name):
        for name, command in _commands_of(point).items():
            if name in PRODUCT or name in found:
                _remark(point, f"there is another command {name!r}")
            else:
                found[name] = command
    return found


def _commands_of(point: EntryPoint) -> Mapping[str, Any]:
    try:
        return _built(point.load())
    # Code of another package can raise any exception; the other commands must still work.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        _remark(point, f"{type(error).__name__}: {error}")
        return {}


@cache
def _built(register: Register) -> Mapping[str, Any]:
    """Return the commands that a function registers, by name; they are built once per process."""
    part = application("")
    register(part)
    return get_group(part).commands


def _show_usage_error(error: Any, *, as_json: bool) -> int:
    """Print a wrong command line and how to correct it; return the exit code."""
    error.show()
    if as_json:
        message = " ".join(error.format_message().split())
        emit_error("UsageError", message, error.exit_code)
    return int(error.exit_code)


def _remark(point: EntryPoint, reason: str) -> None:
    text = f"remark: {point.name!r} ({point.value}) is left out: {reason}"
    note(" ".join(text.split()))


app = application(
    "Lifelong-learning agents that teach each other.\n\n\b\n"
    "Examples:\n"
    "  teachmesh learn photos/screws           # one folder per class\n"
    "  teachmesh up --listen tls/0.0.0.0:7447  # share what was learned\n"
    "  teachmesh predict part.jpg              # any image of any task\n",
    LazyCommands,
)


def _show_version(value: bool) -> None:
    if value:
        say(f"teachmesh {__version__}")
        raise typer.Exit


@app.callback()
def _application(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
    verbose: VerboseOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Options of the application itself."""
    set_for_command(verbose, quiet)


def run() -> None:
    """Run the command line; `teachmesh.__main__` calls this after a handler for Ctrl-C is set."""
    app(prog_name="teachmesh")
