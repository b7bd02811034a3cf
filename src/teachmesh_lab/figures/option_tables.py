"""Table of the results over the values of an option, for grids that differ only in options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from teachmesh_lab.figures.comparison_tables import plus_minus
from teachmesh_lab.figures.figure_scene import compared_told
from teachmesh_lab.figures.figure_tables import half_width, percent
from teachmesh_lab.figures.table_files import Table

Row = Mapping[str, Any]

OPTIONS_TEXT = (
    "One row per value of a constant or training option; everything else has its default. Values "
    "are chosen by the columns on validation images, never by test images. A row with the default "
    "value equals the same method without the option."
)


def option_tables(details: Sequence[Row]) -> list[tuple[str, Table]]:
    """Compare the values of options, one table per stream and backbone.

    Args:
        details: all rows of a run's details.

    Returns:
        (description of stream and backbone, table), without methods that have the same options in
        all grids.
    """
    alone = [row for row in details if row["agents"] == 1]
    places = dict.fromkeys((row["stream"], row["tasks"], row["backbone"]) for row in alone)
    found = []
    for place in places:
        here = [row for row in alone if (row["stream"], row["tasks"], row["backbone"]) == place]
        if rows := [line for lines in map(_lines, _by_method(here)) for line in lines]:
            stream, tasks, backbone = place
            found.append((f"{stream}, {tasks} tasks, backbone {backbone}", (_header(), rows)))
    return found


def _header() -> list[str]:
    return ["method", "option", "value", "mapper", "accuracy of", "on validation images", "on test "
            "images", "oracle, on test images", "± seeds", "± images", "seeds"]  # fmt: skip


def _by_method(rows: Sequence[Row]) -> list[list[Row]]:
    methods = dict.fromkeys(row["method"] for row in rows)
    return [[row for row in rows if row["method"] == method] for method in methods]


def _lines(rows: Sequence[Row]) -> list[list[str]]:
    """Return a line for each set of options of a method; none if there is only one set."""
    told = compared_told(rows[0]["method"])
    compared = [row for row in rows if row["oracle"] == told]
    varied = [name for name in _names(compared) if len({_value(r, name) for r in compared}) > 1]
    if not varied:
        return []
    oracles = {tuple(row["cells"]): row["accuracy"] for row in rows if row["oracle"]}
    return [_line(row, varied, oracles.get(tuple(row["cells"]))) for row in compared]


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["options"]))


def _value(row: Row, name: str) -> str:
    return str(row["options"].get(name))


def _line(row: Row, varied: Sequence[str], oracle: float | None) -> list[str]:
    given = [name for name in varied if name in row["options"]]
    return [
        str(row["method"]),
        ", ".join(given) or "defaults",
        ", ".join(str(row["options"][name]) for name in given) or "-",
        percent(row["mapper"]),
        str(row["measure"]),
        percent(row["accuracy_validation"]),
        percent(row["accuracy"]),
        percent(oracle),
        plus_minus(row["accuracy_sd"]),
        half_width(row["accuracy_images"]),
        str(len(row["seeds"])),
    ]
