"""Draw Fig. 13 and Fig. 14 of the paper from measured cells.

- `fig13.svg`: accuracy on unions of two tasks, by epoch.
- `fig13-zero.svg`: accuracy without images, for tasks whose classes occur in old tasks.
- `fig14.svg`: accuracy of three starts of a head, with three images per class.
- `fig14-similar.svg`: accuracy by epoch on similar, not identical, classes (EXP-1 and EXP-2).

Fig. 11 and Fig. 12 are in the report of `teachmesh evaluate --corrective T --report FILE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from teachmesh_lab.studies.reuse_head_tables import HEAD_WAYS, STARTS, three_ways, union_curves
from teachmesh_lab.studies.reuse_tables import Results, by_task
from teachmesh_lab.studies.reuse_tasks import HALF
from teachmesh_lab.studies.similar_classes import STARTS as SIMILAR_STARTS
from teachmesh_lab.studies.similar_classes import similar_curves
from teachmesh_lab.studies.study_cells import select

NORMS = {"p = 2": "p = 2", "p = inf": "p = infinity", "moments": "moments"}


def draw_figures(results: Results, folder: Path) -> None:
    """Draw every figure whose cells have been measured."""
    folder.mkdir(parents=True, exist_ok=True)
    if select(results, "union"):
        draw_unions(results, folder / "fig13.svg")
    for name, values in (("fig13-zero", zero_images(results)), ("fig14", starts(results))):
        if values:
            draw_bars(values, folder / f"{name}.svg")
    if select(results, "similar"):
        draw_similar(results, folder / "fig14-similar.svg")


def zero_images(results: Results) -> dict[str, dict[str, float]]:
    """Return the accuracy of heads built without images, by new task and method."""
    found = by_task(select(results, "combine"))
    return {
        name: {shown: values[key] for key, shown in NORMS.items()} for name, values in found.items()
    }


def starts(results: Results) -> dict[str, dict[str, float]]:
    """Return the accuracy with three images per class, by pair of tasks and start."""
    return {
        pair.replace(", ", " <- "): dict(zip(HEAD_WAYS, three_ways(values), strict=True))
        for pair, values in by_task(select(results, "heads", shots=3)).items()
        if values["shared"] >= HALF
    }


def draw_unions(results: Results, path: Path) -> None:
    """Draw accuracy by epoch for each start of a head, and horizontal lines for class moments."""
    found = [result.values for result in select(results, "union")]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for key, curve in union_curves(found).items():
        axes.plot(100 * curve, label=f"{STARTS[key]}: {100 * curve[0]:.1f} at first")
    for key, style in (("zero images", "--"), ("all images", ":")):
        level = 100 * float(np.mean([values["moments"][key] for values in found]))
        axes.axhline(level, color="black", linestyle=style, label=f"class moments, {key}")
    axes.set_xlabel("epochs")
    axes.set_ylabel("right, per cent of test images")
    axes.set_ylim(50, 95)  # a random start begins far below 50; its label shows the value
    axes.legend(loc="lower right", fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def draw_similar(results: Results, path: Path) -> None:
    """Draw accuracy by epoch for each start, one panel per experiment and number of shots."""
    found = select(results, "similar")
    names = list(dict.fromkeys(result.cell.arguments["experiment"] for result in found))
    shots = list(dict.fromkeys(result.cell.arguments["shots"] for result in found))
    figure = Figure(figsize=(2.6 * len(shots) + 0.6, 2.4 * len(names) + 0.6), layout="constrained")
    panels = figure.subplots(len(names), len(shots), sharex=True, sharey=True, squeeze=False)
    for result in found:
        values = result.cell.arguments
        axes = panels[names.index(values["experiment"])][shots.index(values["shots"])]
        for key, curve in similar_curves(result.values).items():
            axes.plot(100 * curve, label=SIMILAR_STARTS[key])
        images = f"{values['shots'] or 'all'} images per class"
        axes.set_title(f"{values['experiment']}, {images}", fontsize="small")
    figure.supxlabel("epochs")
    figure.supylabel("right, per cent of test images")
    lines, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def draw_bars(values: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw horizontal bars, with one group of bars per row of values."""
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
