"""Twelve tasks drawn by code, whose classes are not kinds of objects (paper, Sec. 4).

Counts, shapes, orientations, places, invented characters, patterns, roughness and hues differ
greatly from the training images of a network pretrained on photographs. The drawn tasks therefore
add a domain gap to the stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachmesh_lab.demo.demo_tasks import PER_CLASS
from teachmesh_lab.streams.painters import (
    Painter,
    bar,
    count_of,
    glyph_of,
    grating,
    hue,
    pattern,
    place,
    roughness,
    shape_of,
)


@dataclass(frozen=True)
class DrawnTask:
    """A task whose images are drawn by code.

    Attributes:
        kind: "counting", "shapes", "orientation", "glyphs", "textures", "colour" or "place".
        classes: names of the classes, in the order of the painter's class indices.
        paint: painter, a function that draws one image of a class.
    """

    kind: str
    classes: tuple[str, ...]
    paint: Painter


_CHARACTERS = ("ba", "di", "fo", "ku", "le", "mi")

DRAWN: Mapping[str, DrawnTask] = {
    "counting_bars": DrawnTask(
        "counting", ("one", "two", "three", "four", "five"), count_of("bars")
    ),
    "counting_discs": DrawnTask(
        "counting", ("one", "two", "three", "four", "five"), count_of("discs")
    ),
    "shapes_filled": DrawnTask(
        "shapes",
        ("circle", "triangle", "square", "pentagon", "star"),
        shape_of((0, 3, 4, 5, -5), filled=True),
    ),
    "shapes_outlined": DrawnTask(
        "shapes",
        ("ring", "triangle", "square", "hexagon", "burst"),
        shape_of((0, 3, 4, 6, -7), filled=False),
    ),
    "glyphs_straight": DrawnTask("glyphs", _CHARACTERS, glyph_of(1, curved=False)),
    "glyphs_round": DrawnTask("glyphs", _CHARACTERS, glyph_of(2, curved=True)),
    "gratings": DrawnTask(
        "orientation", ("0 deg", "30 deg", "60 deg", "90 deg", "120 deg", "150 deg"), grating
    ),
    "bars": DrawnTask("orientation", ("lying", "rising", "standing", "falling"), bar),
    "patterns": DrawnTask("textures", ("checks", "dots", "grid", "rings", "zigzag"), pattern),
    "roughness": DrawnTask("textures", ("grainy", "rough", "soft", "smooth"), roughness),
    "hues": DrawnTask("colour", ("red", "yellow", "green", "cyan", "blue", "magenta"), hue),
    "places": DrawnTask(
        "place", ("middle", "top left", "top right", "bottom left", "bottom right"), place
    ),
}


def write_drawn_task(folder: Path, name: str, seed: int = 0) -> Path:
    """Draw one task: `<folder>/<name>/{train,val,test}/<class>/<n>.png`.

    Every image has its own random generator, seeded with (seed, task, class, split, number), so
    an image does not depend on the number of images.

    Args:
        folder: parent folder of the task.
        name: one of `DRAWN`.
        seed: seed for all random numbers.
    """
    task = DRAWN[name]
    for label, class_name in enumerate(task.classes):
        for split_number, (split, count) in enumerate(PER_CLASS.items()):
            target = folder / name / split / class_name
            target.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                words = [seed, zlib.crc32(name.encode()), label, split_number, number]
                picture = task.paint(label, np.random.default_rng(words))
                picture.save(target / f"{number:03}.png", compress_level=1)
    return folder / name
