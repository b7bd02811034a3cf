"""Curve of accuracy against bytes per skill, from the documents of several evaluations.

teachmesh evaluate TASKS --max-bytes 16000 --json > small.json
teachmesh evaluate TASKS --json > full.json
python -m teachmesh_lab.figures.bytes_curve FOLDER small.json full.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh_lab.figures.figure_style import Drawing, legend, look, plain_numbers, plot, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("mapper", "oracle", "direct")


def curve(documents: Sequence[Mapping[str, Any]]) -> list[tuple[float, dict[str, float]]]:
    """Return mean kilobytes per skill and accuracies in per cent, smallest skills first.

    Args:
        documents: documents of `teachmesh evaluate --json`, of one backbone and the same tasks.

    Examples:
        >>> curve([{"mean": {"skill_bytes": 2e3, "mapper": 1, "oracle": 0.75, "direct": 0.5}}])
        [(2.0, {'mapper': 100.0, 'oracle': 75.0, 'direct': 50.0})]
    """
    means = sorted((found["mean"] for found in documents), key=lambda mean: mean["skill_bytes"])
    return [
        (mean["skill_bytes"] / 1e3, {name: 100.0 * mean[name] for name in COLUMNS})
        for mean in means
    ]


def curve_drawing(documents: Sequence[Mapping[str, Any]]) -> Drawing:
    """Return the figure of the curve; see `curve` for the documents."""
    points = curve(documents)

    def draw() -> Figure:
        figure, axes = plot()
        for name in COLUMNS:
            style = look(name, COLUMNS)
            axes.plot([x for x, _ in points], [y[name] for _, y in points], **style)
        axes.set_xscale("log")
        axes.set_xlabel("kilobytes per skill, mean over tasks")
        axes.set_ylabel("per cent")
        plain_numbers(axes)
        legend(figure)
        return figure

    text = "Accuracy on test images against the mean size of a skill."
    return Drawing("bytes-curve", "Accuracy against bytes", text, draw)


def main(arguments: Sequence[str]) -> int:
    """Draw the curve of some documents into a folder; return the exit status."""
    if len(arguments) < 2:
        sys.stderr.write("usage: bytes_curve FOLDER DOCUMENT...\n")
        return 2
    documents = [json.loads(Path(name).read_text("utf-8")) for name in arguments[1:]]
    save(curve_drawing(documents), Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
