"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Folder of this agent. Default: $TEACHMESH_HOME, else the user's data folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help='Print one JSON document with a "schema" key to stdout.'),
]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        "-b",
        help="Backbone to use (see: teachmesh backbone list).",
        show_default=False,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps; never another one silently."),
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        "-m",
        help="moments (default), gmmc or maha; with +bb or +bb-last, or bb-h2t, to learn biases.",
        show_default=False,
    ),
]
BiasOption = Annotated[
    str | None,
    typer.Option(
        "--bb",
        help="Layers that get beneficial biases: auto (within a budget), all (the paper's way), "
        "half, last:N, or none.",
        show_default=False,
    ),
]
PassesOption = Annotated[
    float | None,
    typer.Option(
        "--bb-passes",
        help="Forward passes over the images that learning may cost in all; 8 with --bb auto.",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of splits and of what is random.")]
EncoderOption = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="How class names are compared: auto, minilm (offline), clip (fetched once), names.",
    ),
]
