"""`teachmesh skills`: manage the skills of the bank."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from teachmesh.bank.home_place import home_path
from teachmesh.bank.withheld import Withheld, describe_withheld
from teachmesh.cli import (
    history_commands,
    part_commands,
    quarantine_commands,
    shrink_command,
    withdraw_commands,
)
from teachmesh.cli.command import application, command
from teachmesh.cli.export_command import CheckOption, export_onnx
from teachmesh.cli.output import describe_biases, emit, note, plain, say, size, table
from teachmesh.cli.shared_options import (
    HomeOption,
    JsonOption,
    LocalOption,
    SkillArgument,
    output_option,
)
from teachmesh.cli.skill_removal import remove_skill
from teachmesh.cli.which_agent import view_of
from teachmesh.errors import (
    EXIT_SKIPPED,
    SkillRefused,
    StorageError,
    TeachmeshError,
    UsageError,
)
from teachmesh.trust.policy import known_as

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from teachmesh.agent.known_skills.skill_mapping import Exported
    from teachmesh.bank.entry import BankEntry


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application(
        "The skills of this agent: list, show, restore, shrink, remove, withdraw, export and "
        "import them, and learn one together with other agents."
    )
    app.add_typer(group, name="skills")
    command(group, "list", "teachmesh skills list", "teachmesh skills list --all --json")(
        list_skills
    )
    command(group, "show", "teachmesh skills show screws", "teachmesh skills show 3f9a --json")(
        show
    )
    history_commands.register(group)
    shrink_command.register(group)
    command(
        group, "remove", "teachmesh skills remove screws --yes", "teachmesh skills remove 3f9a"
    )(remove)
    withdraw_commands.register(group)
    quarantine_commands.register(group)
    part_commands.register(group)
    command(
        group,
        "export",
        "teachmesh skills export screws",
        "teachmesh skills export screws --output /media/usb/screws.skill",
        "teachmesh skills export screws --network screws.pt2",
        "teachmesh skills export screws --onnx screws.onnx --check photos/",
    )(export)
    command(
        group,
        "import",
        "teachmesh skills import /media/usb/screws.skill",
        "teachmesh skills import *.skill --json",
    )(import_skills)


def list_skills(
    all_versions: Annotated[
        bool, typer.Option("--all", help="Also list skills that were replaced or withdrawn.")
    ] = False,
    local: LocalOption = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the active skills of the bank, with the reason if one is not used."""
    view = view_of(home, local=local)
    skills = [skill for skill in view.infos() if all_versions or skill.active]
    reasons = Withheld(home_path(home)).reasons()
    if json_output:
        documents = [skill.to_json() for skill in skills]
        withheld = {s.id: reasons[s.id] for s in skills if s.id in reasons}
        document = {"digest": view.digest(), "skills": documents, "withheld": withheld}
        emit({"schema": "teachmesh.skills/1", **document})
        return
    if not skills:
        say("no skill yet; learn one with: teachmesh learn FOLDER")
        return
    header = ["task", "id", "classes", "method", "size", "from", "used"]
    rows = [
        [
            plain(skill.display_name),
            skill.id[:12],
            str(skill.n_classes),
            skill.method,
            size(skill.size_bytes),
            known_as(skill.alias, skill.author),
            "; ".join(filter(None, ("" if skill.usable else plain(skill.reason), skill.remark)))
            or "yes",
        ]
        for skill in skills
    ]
    say(table(header, rows))
    for skill in skills:
        if skill.active and skill.id in reasons:
            say(plain(describe_withheld(skill.display_name, reasons[skill.id])))


def show(
    skill: SkillArgument,
    local: LocalOption = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the card of one skill: classes, author, accuracy, cost."""
    view = view_of(home, local=local)
    info = view.find(skill)
    card = view.card(info.id)
    if json_output:
        emit({"schema": "teachmesh.skill-card/1", "id": info.id, "card": card})
        return
    say(f"skill {info.id}")
    for key, value in card.items():
        if key == "parents":
            _show_parents(value)
        else:
            shown = describe_biases(value) if key == "biases" else _readable(value)
            say(f"  {key}: {shown}")


def _show_parents(parents: Mapping[str, list[str]]) -> None:
    rows = zip(parents["classes"], parents["skills"], parents["parent_classes"], strict=True)
    for name, skill_id, parent in rows:
        say(f"  {plain(name)} learned from: {plain(parent)} of skill {skill_id[:12]}")


def _readable(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(plain(str(item)) for item in value[:12])
        return shown + (f", ... ({len(value)} in all)" if len(value) > 12 else "")
    if isinstance(value, dict):
        return ", ".join(f"{plain(str(k))} {_readable(v)}" for k, v in value.items())
    return plain(str(value))


def remove(
    skill: SkillArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without confirmation.")] = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Remove a skill from this agent; peers keep their copies, and it is not fetched again."""
    from teachmesh.agent.known_skills.bank_view import BankView

    view = BankView(home, reading=True)
    remove_skill(view, view.find(skill), yes=yes, json_output=json_output)


def export(
    skill: SkillArgument,
    output: Annotated[
        Path | None,
        output_option("--output", "-o", text="File. Default: TASK.skill."),
    ] = None,
    network: Annotated[
        Path | None,
        output_option(
            "--network",
            text="Write the task's whole network here instead, for machines without teachmesh.",
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        output_option("--onnx", text="Write it as an ONNX file here instead, for onnxruntime."),
    ] = None,
    check: CheckOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write a skill to a file that any agent can import: its signed bytes.

    With --network, write the classifier of the task as one torch.export program instead. It takes
    pixels (N, 3, S, S) uint8 and returns log posteriors of the classes. Biases are folded into the
    backbone. `torch.export.load(FILE).module()` runs it; classes.json inside has the class names.

    With --onnx, write an ONNX file: pixels to class and probability, as `predict --task` answers.
    It is compared with the agent first, and not written if a probability differs by more than
    0.0001. `teachmesh export` writes all skills.
    """
    from teachmesh.agent.known_skills.bank_view import BankView

    _check_one([output, network, onnx], check)
    if onnx is not None:
        export_onnx(home, onnx, check, json_output, skill=skill)
        return
    if network is None:
        exported = BankView(home, reading=True).export(skill, output)
    else:
        exported = _export_network(home, skill, network)
    if json_output:
        emit(exported.to_json())
    else:
        hint = "" if network is None else "; run it with torch.export.load"
        say(f"wrote {plain(str(exported.path))} ({size(exported.size_bytes)}){hint}")


def _export_network(home: Path | None, skill: str, network: Path) -> Exported:
    from teachmesh.agent import Agent

    return Agent(home, reading=True).export(skill, network, network=True)


def _check_one(files: Sequence[Path | None], check: Sequence[str] | None) -> None:
    """Refuse several files, and images that no file is compared with."""
    if sum(file is not None for file in files) > 1:
        raise UsageError(
            "expected --output for the skill, --network or --onnx for its network, got several"
        )
    if check and files[-1] is None:
        raise UsageError("expected --onnx with --check, whose images an ONNX file is compared with")


def import_skills(
    files: Annotated[list[Path], typer.Argument(help="Files written by `skills export`.")],
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check skills from files, as if a peer had sent them, and add them to the bank.

    A file that fails is reported, and the others are imported; the exit code is then 9. If no
    file can be imported, it is that of the first error.
    """
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.bank.atomic import read_file

    view = BankView(home)
    saved: list[tuple[Path, BankEntry]] = []
    failed: list[tuple[Path, TeachmeshError]] = []
    for path in files:
        try:
            saved.append((path, view.receive(read_file(path))))
        except (SkillRefused, StorageError) as error:
            failed.append((path, error))
    if failed and not saved:
        _raise_first(failed)
    _show_imported(saved, failed, json_output)
    if failed:
        raise typer.Exit(EXIT_SKIPPED)


def _raise_first(failed: Sequence[tuple[Path, TeachmeshError]]) -> NoReturn:
    """Report all errors but the first, which is raised with the name of its file."""
    for path, error in failed[1:]:
        note(f"not imported: {_failure(path, error)}")
    path, error = failed[0]
    text = _failure(path, error)
    if isinstance(error, SkillRefused):
        raise SkillRefused(error.reason, text)
    raise StorageError(text)


def _failure(path: Path, error: TeachmeshError) -> str:
    text = str(error)
    return plain(text if str(path) in text else f"{path}: {text}")


def _show_imported(
    saved: Sequence[tuple[Path, BankEntry]],
    failed: Sequence[tuple[Path, TeachmeshError]],
    json_output: bool,
) -> None:
    for path, error in failed:
        note(f"not imported: {_failure(path, error)}")
    if json_output:
        skills = [{"id": e.id, "task": e.task, "file": str(path)} for path, e in saved]
        errors = [{"file": str(path), "message": str(error)} for path, error in failed]
        emit({"schema": "teachmesh.imported/1", "skills": skills, "failed": errors})
        return
    for path, entry in saved:
        where = f"{plain(str(path))}: " if len(saved) + len(failed) > 1 else ""
        by = known_as(entry.alias, entry.author)
        say(f"{where}saved {plain(entry.task)} ({entry.id[:12]}) from {by}")
