"""`teachmesh service`: run the agent as a systemd service of the user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, note, plain, say
from teachmesh.cli.shared_options import HomeOption, JsonOption
from teachmesh.cli.systemd_unit import UNIT, unit_path, unit_text
from teachmesh.errors import StorageError, UsageError

ListenOption = Annotated[
    list[str] | None, typer.Option("--listen", help="Endpoint to listen on, as for `up`.")
]
JoinOption = Annotated[
    list[str] | None, typer.Option("--join", help="Endpoint of another agent, as for `up`.")
]
LearnOption = Annotated[
    list[Path] | None, typer.Option("--learn", help="Task to learn if it is new, as for `up`.")
]
FurtherArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Further options of `up`, after --.", show_default=False),
]
_SYSTEMCTL_TIMEOUT_S = 30.0


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application("Run the agent as a systemd service of this user.")
    app.add_typer(group, name="service")
    command(
        group,
        "install",
        "teachmesh service install",
        "teachmesh service install --listen tls/0.0.0.0:7447 --learn photos/screws",
        "teachmesh service install --listen tls/0.0.0.0:7447 -- --name box-1 --policy ask",
    )(install)
    command(group, "print", "teachmesh service print", "teachmesh service print --home ~/agent-b")(
        print_unit
    )
    command(group, "remove", "teachmesh service remove", "teachmesh service remove --json")(remove)


def install(
    context: typer.Context,
    further: FurtherArgument = None,
    listen: ListenOption = None,
    join: JoinOption = None,
    learn: LearnOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write the unit and start it now and at each login.

    `loginctl enable-linger` also starts it at boot, without a login. Without systemd, only the unit
    is written.
    """
    from teachmesh.bank.atomic import storage_errors, write_atomic

    path = unit_path(_config())
    text = _unit(context, listen, join, learn, further, home)
    with storage_errors(f"could not save {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode(), mode=0o644)
    problem = _systemctl("daemon-reload") or _systemctl("enable", "--now", UNIT)
    _show("installed", path, problem, json_output)
    if not json_output and not problem:
        say("look at it with: teachmesh status, or: journalctl --user -u teachmesh")


def print_unit(
    context: typer.Context,
    further: FurtherArgument = None,
    listen: ListenOption = None,
    join: JoinOption = None,
    learn: LearnOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print the unit that `install` would write; nothing is changed."""
    text = _unit(context, listen, join, learn, further, home)
    if json_output:
        path = str(unit_path(_config()))
        emit({"schema": "teachmesh.service/1", "action": "printed", "path": path, "unit": text})
    else:
        say(text.rstrip("\n"))


def remove(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Stop the service and remove its unit; the home with all skills stays."""
    from teachmesh.bank.atomic import storage_errors
    from teachmesh.bank.home_place import home_path

    path = unit_path(_config())
    if not path.exists():
        raise StorageError(
            f"expected the unit {path}, got none; the service is not installed (the home is "
            f"{home_path(home)})"
        )
    problem = _systemctl("disable", "--now", UNIT)
    with storage_errors(f"could not remove {path}"):
        path.unlink(missing_ok=True)
    problem = _systemctl("daemon-reload") or problem
    _show("removed", path, problem, json_output)


def _unit(
    context: typer.Context,
    listen: Sequence[str] | None,
    join: Sequence[str] | None,
    learn: Sequence[Path] | None,
    further: Sequence[str] | None,
    home: Path | None,
) -> str:
    from teachmesh.bank.home_place import home_path

    options = ["--home", str(home_path(home))]
    options += [word for text in listen or () for word in ("--listen", text)]
    options += [word for text in join or () for word in ("--join", text)]
    options += [word for path in learn or () for word in ("--learn", str(path.absolute()))]
    if {"--learn", "--home"} & set(further or ()):
        raise UsageError("expected --learn and --home before --, so that their paths are absolute")
    options += further or ()
    _check_options(context, options)
    return unit_text([sys.executable, "-m", "teachmesh"], options)


def _check_options(context: typer.Context, options: Sequence[str]) -> None:
    """Let `up` check its options now, because people do not see the errors of a service."""
    root = context.find_root()
    up = root.command.get_command(root, "up")  # type: ignore[attr-defined] # a group
    up.make_context("teachmesh up", list(options))


def _config() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME")
    return Path(given) if given else Path.home() / ".config"


def _systemctl(*arguments: str) -> str:
    """Run `systemctl --user`; return the problem, or an empty text."""
    program = shutil.which("systemctl")
    if program is None:
        return "this machine has no systemctl"
    try:
        done = subprocess.run(
            [program, "--user", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SYSTEMCTL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return " ".join(str(error).split())
    message = " ".join(done.stderr.split()) or f"systemctl ended with {done.returncode}"
    return message if done.returncode else ""


def _show(action: str, path: Path, problem: str, json_output: bool) -> None:
    if json_output:
        document = {"action": action, "path": str(path), "problem": problem or None}
        emit({"schema": "teachmesh.service/1", **document})
        return
    say(f"{action} {plain(str(path))}")
    if problem:
        note(
            f"systemd did not take it over ({plain(problem)}); do so with: systemctl --user "
            f"daemon-reload && systemctl --user {'enable' if action == 'installed' else 'disable'} "
            f"--now {UNIT}"
        )
