"""`teachmesh export`: write all skills as one ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from teachmesh.cli.command import command
from teachmesh.cli.output import emit, note, plain, say, size
from teachmesh.cli.shared_options import (
    BackboneOption,
    HomeOption,
    JsonOption,
    MethodOption,
    output_option,
)
from teachmesh.errors import EXIT_SKIPPED

if TYPE_CHECKING:
    from teachmesh.agent import ExportedOnnx

CheckOption = Annotated[
    list[str] | None,
    typer.Option(
        "--check",
        help="Image or folder to compare the file with the agent on; may be repeated. Default: 32 "
        "synthetic images.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    command(
        app,
        "export",
        "teachmesh export --onnx agent.onnx",
        "teachmesh export --onnx agent.onnx --check photos/ --json",
    )(export)


def export(
    onnx: Annotated[Path, output_option("--onnx", text="ONNX file to write.")],
    check: CheckOption = None,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms",
            help="Fraction of known images that may be called unknown, up to 0.25.",
        ),
    ] = 0.05,
    method: MethodOption = None,
    backbone: BackboneOption = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write all skills that answers use as one ONNX file, which needs neither teachmesh nor torch.

    The file takes pixels (N, 3, S, S) uint8. It returns task, class, probability and "unknown", as
    `predict` answers, with the second pass of skills with biases. Its metadata has the key
    "teachmesh", with all names, sizes, authors and licences as JSON. The file is compared with the
    agent first, and not written if a probability differs by more than 0.0001.
    """
    export_onnx(
        home, onnx, check, json_output, false_alarms=false_alarms, method=method, backbone=backbone
    )


def export_onnx(
    home: Path | None,
    path: Path,
    check: Sequence[str] | None,
    json_output: bool,
    *,
    method: str | None = None,
    backbone: str | None = None,
    **options: Any,
) -> None:
    """Write an ONNX file and print its size and its largest difference from the agent.

    Args:
        home: folder of the agent.
        path: file to write.
        check: images to compare with; None for synthetic ones.
        json_output: whether to print a JSON document.
        method: task mapper; by default that of the home.
        backbone: alias of the backbone; by default that of the home.
        options: further arguments of `Agent.export_onnx`.
    """
    from teachmesh.agent import Agent

    agent = Agent(home, mapper=method, backbone=backbone, reading=True)
    for reason in agent.unusable_reasons():
        note(f"not used: {plain(reason)}")
    exported = agent.export_onnx(path, images=list(check) if check else None, **options)
    for failure in exported.skipped:
        note(f"skipped: {plain(failure)}")
    _show(exported, json_output=json_output)
    if exported.skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _show(exported: ExportedOnnx, *, json_output: bool) -> None:
    if json_output:
        emit(exported.to_json())
        return
    say(f"wrote {plain(str(exported.path))} ({size(exported.size_bytes)})")
    say(
        f"{len(exported.tasks)} tasks; largest difference from the agent on {exported.images} "
        f"images: {exported.largest_difference:.1e}"
    )
