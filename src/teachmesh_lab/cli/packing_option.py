"""The option that chooses the bits of skills, to measure what the bits cost."""

from __future__ import annotations

from typing import Annotated

import typer

PackingOption = Annotated[
    str | None,
    typer.Option(
        "--packing",
        metavar="B,D,H",
        help="Bits of class means, directions, bits of the head, such as 2,32,4; or full.",
        show_default=False,
    ),
]
