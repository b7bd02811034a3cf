"""Class level on a page: accuracy per class, confused classes, calibration, surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh_lab.evaluation.html_page import image, mistake_pictures, new_figure, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 20
"""Number of classes and of confused pairs on a page."""
_LOOK = {"color": "#0072b2", "marker": "o", "markersize": 4.0, "linewidth": 1.4}


def class_level_sections(found: Mapping[str, Any]) -> str:
    """Return the HTML of an evaluation's class level.

    Args:
        found: values from `class_level.class_level`.
    """
    calibration = found["calibration"]
    classes, pairs = found["classes"], found["confused_classes"]
    parts = [
        f"<h2>Accuracy per class (the {min(SHOWN, len(classes))} lowest of {len(classes)})</h2>",
        table(*class_table(classes[:SHOWN])),
        "<h2>Confused classes</h2>",
        table(*confusion_table(pairs[:SHOWN])) if pairs else "<p>No image has a wrong answer.</p>",
        "<h2>Calibration</h2>",
        image(lambda: draw_reliability({"answers": calibration["bins"]}, {"answers": _LOOK}),
              "accuracy over probability"),
        "<p>Answers by their probability, in ten bins; below: images per bin. On the diagonal, "
        "probabilities are right. Expected calibration error: "
        f"{calibration['error']:.3f}.</p>",
    ]  # fmt: skip
    if found["mistakes"]:
        parts += ["<h2>Surest mistakes</h2>", mistake_pictures(found["mistakes"])]
    return "".join(parts)


def class_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Make a table from `class_level.class_accuracies`."""
    header = ["class", "task", "images", "right"]
    return header, [
        [row["class"], row["task"], f"{row['images']:,}", f"{100 * row['right']:.1f} %"]
        for row in rows
    ]


def confusion_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Make a table from `class_level.class_confusions`."""
    header = ["class", "task", "answered class", "answered task", "images", "of its images"]
    return header, [
        [
            row["class"],
            row["task"],
            row["answered_class"],
            row["answered_task"],
            str(row["images"]),
            f"{100 * row['share']:.1f} %",
        ]
        for row in rows
    ]


def draw_reliability(
    bins: Mapping[str, Sequence[Mapping[str, Any]]], looks: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Draw accuracy over probability, and below it the number of images per bin.

    Args:
        bins: name -> bins from `class_level.reliability`.
        looks: name -> style of its line.
    """
    figure = new_figure(5.2, 5.2)
    from matplotlib.ticker import FuncFormatter, NullFormatter

    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    top.plot([0, 100], [0, 100], color="#b0b0b0", linewidth=0.8)
    for name, rows in bins.items():
        places = 100 * np.array([row["probability"] for row in rows])
        top.plot(places, [100 * row["right"] for row in rows], **looks[name])
        style = {**looks[name], "label": ""}
        bottom.plot(places, [row["images"] for row in rows], **style)
    top.set_ylabel("right, per cent")
    bottom.set_ylabel("images")
    bottom.set_yscale("log")
    bottom.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    bottom.yaxis.set_minor_formatter(NullFormatter())
    bottom.set_xlabel("probability of the answer, per cent")
    top.set_xlim(0, 102)
    top.set_ylim(0, 102)
    if len(bins) > 1:
        figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure
