"""Fig. 13 and Fig. 14 from the cells of `bench_reuse`.

    python -m teachmesh_lab.studies.reuse_figures CELLS FOLDER

Writes fig13.svg (unions of two tasks by epoch), fig13-zero.svg (other styles, zero images) and
fig14.svg (two starts at three shots); a figure without cells is left out. Fig. 11 and 12 stand in
the report of `teachmesh evaluate --corrective T --report FILE`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from teachmesh_lab.studies.reuse_cells import cells
from teachmesh_lab.studies.reuse_data import HALF
from teachmesh_lab.studies.reuse_head_tables import STARTS, three_ways, union_curves

NORMS = {"p = 2": "p = 2", "p = inf": "p = infinity", "moments": "moments"}


def zero_images(root: Path) -> dict[str, dict[str, float]]:
    """New task -> way -> accuracy without an image of it."""
    found = cells(root / "combine")
    return {
        name: {shown: cell[key] for key, shown in NORMS.items()} for name, cell in found.items()
    }


def starts(root: Path) -> dict[str, dict[str, float]]:
    """New and old task -> start -> accuracy at three shots, old rows where the trial takes them."""
    names = ("random start", "closed form, no old rows", "ours")
    return {
        pair.replace("--", " <- "): dict(zip(names, three_ways(cell), strict=True))
        for pair, cell in cells(root / "heads" / "3").items()
        if cell["shared"] >= HALF
    }


def draw_unions(root: Path, path: Path) -> None:
    """Accuracy by epoch for every start of a head, and class moments as level lines."""
    found = cells(root / "union")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for key, curve in union_curves(found).items():
        axes.plot(100 * curve, label=f"{STARTS[key]}: {100 * curve[0]:.1f} at first")
    for key, style in (("zero images", "--"), ("all images", ":")):
        level = 100 * float(np.mean([cell["moments"][key] for cell in found.values()]))
        axes.axhline(level, color="black", linestyle=style, label=f"class moments, {key}")
    axes.set_xlabel("epochs")
    axes.set_ylabel("right, per cent of test images")
    axes.set_ylim(50, 95)  # a random start begins far below, which its label says
    axes.legend(loc="lower right", fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})


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
    if cells(options.cells / "union"):
        draw_unions(options.cells, options.folder / "fig13.svg")
    figures = {"fig13-zero": zero_images(options.cells), "fig14": starts(options.cells)}
    for name, values in figures.items():
        if values:
            draw(values, options.folder / f"{name}.svg")


if __name__ == "__main__":
    main()
