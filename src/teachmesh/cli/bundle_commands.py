"""`teachmesh bundle`: carry all skills to a machine without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.event_texts import counted
from teachmesh.cli.output import emit, note, plain, say, size
from teachmesh.cli.shared_options import HomeOption, JsonOption
from teachmesh.errors import EXIT_SKIPPED

if TYPE_CHECKING:
    from teachmesh.agent.on_mesh.bundle_skills import BundleResult


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application("All skills and withdrawals as one file or folder, such as a USB stick.")
    app.add_typer(group, name="bundle")
    command(
        group,
        "export",
        "teachmesh bundle export /media/usb/skills.bundle",
        "teachmesh bundle export /media/usb --json",
    )(export)
    command(
        group,
        "import",
        "teachmesh bundle import /media/usb/skills.bundle",
        "teachmesh bundle import /media/usb --json",
    )(import_files)


def export(
    path: Annotated[Path, typer.Argument(help="Tar file to write, or an existing folder.")],
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write all that a peer would get: skills that are not withdrawn, and withdrawals."""
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.bundle_skills import export_bundle

    done = export_bundle(BankView(home, reading=True), path)
    if json_output:
        emit(done.to_json())
    else:
        what = f"{counted(done.skills)} and {counted(done.tombstones, 'withdrawal')}"
        say(f"wrote {what} ({size(done.size_bytes)}) to {plain(done.path)}")
    for skill in done.damaged:
        note(f"left out: {skill[:12]} is damaged; repair with: teachmesh repair")
    if done.damaged:
        raise typer.Exit(EXIT_SKIPPED)


def import_files(
    path: Annotated[Path, typer.Argument(help="File or folder written by `bundle export`.")],
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check each file as if a peer had sent it, and save it; report each file.

    Skills that were removed here stay removed. The exit code is 9 if a file was not saved.
    """
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.on_mesh.bundle_skills import import_bundle

    results = []
    for result in import_bundle(BankView(home), path):
        results.append(result)
        if not json_output:
            _show(result)
    failures = sum(result.is_failure for result in results)
    if json_output:
        documents = [result.to_json() for result in results]
        emit({"schema": "teachmesh.bundle-import/1", "failed": failures, "files": documents})
    else:
        saved = sum(result.result == "saved" for result in results)
        known = len(results) - saved - failures
        say(f"{saved} saved, {known} known before, {failures} not saved")
    if failures:
        raise typer.Exit(EXIT_SKIPPED)


def _show(result: BundleResult) -> None:
    name = plain(result.file)
    if result.is_failure:
        note(f"not saved: {name}: {plain(result.message)}")
    elif result.task:
        say(f"saved {plain(result.task)} from {plain(result.alias)}: {name}")
    else:
        say(f"{result.result} {name}")
