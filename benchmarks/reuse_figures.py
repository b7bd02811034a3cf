"""Fig. 13 (zero images) and Fig. 14 (two starts at three shots) from the cells of `bench_reuse`.

    python -m benchmarks.reuse_figures CELLS FOLDER

Writes fig13.svg and fig14.svg; a figure without cells is left out. Fig. 11 and 12 stand in the
report of `skillmesh evaluate --corrective T --report FILE`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.reuse_tables import cells, head_gains
from skillmesh.training.kin import START_GAIN

NORMS = {"p = 2": "p = 2", "p = inf": "p = infinity", "moments": "moments"}


def zero_images(root: Path) -> dict[str, dict[str, float]]:
    """New task -> way -> accuracy without an image of it."""
    found = cells(root / "combine")
    return {
        name: {shown: cell[key] for key, shown in NORMS.items()} for name, cell in found.items()
    }


def two_starts(root: Path) -> dict[str, dict[str, float]]:
    """New and old task -> start -> accuracy at three shots, old rows where the gate takes them."""
    values = {}
    for name, cell in cells(root / "heads" / "3").items():
        alone = np.array(cell["test"])[:, 0]
        ours = alone + head_gains(cell, "test", START_GAIN)
        values[name.replace("--", " <- ")] = {
            "random start": float(alone.mean()),
            "ours": float(ours.mean()),
        }
    return values


def draw(values: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Grouped horizontal bars, one group per row of values."""
    keys = list(next(iter(values.values())))
    height = 0.8 / len(keys)
    figure = Figure(figsize=(7, 1.2 + 0.16 * len(values) * (1 + len(keys))), layout="constrained")
    axes = figure.subplots()
    for index, key in enumerate(keys):
        places = np.arange(len(values)) + (index - (len(keys) - 1) / 2) * height
        axes.barh(places, [100 * row[key] for row in values.values()], height=height, label=key)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("right, per cent of test images")
    figure.legend(loc="outside upper center", ncols=len(keys), frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Draw what there are cells for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    figures = {"fig13": zero_images(options.cells), "fig14": two_starts(options.cells)}
    for name, values in figures.items():
        if values:
            draw(values, options.folder / f"{name}.svg")


if __name__ == "__main__":
    main()
