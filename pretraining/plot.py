"""Plot the log of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot_log(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot validation accuracy against minutes of training.

    Args:
        log: log of the run, one entry per epoch.
        path: path of the PNG file.
    """
    # Imported here because it is slow and rarely needed.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    minutes = [line["train_s"] / 60 for line in log]
    for size in sorted({line["size_px"] for line in log}):
        points = [
            (minute, 100 * line["top1_at_size"])
            for minute, line in zip(minutes, log, strict=True)
            if line["size_px"] == size
        ]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"epochs at {size} px")
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("validation top-1 in percent, averaged weights")
    if log:
        axes.legend()
    figure.savefig(path, dpi=120)
