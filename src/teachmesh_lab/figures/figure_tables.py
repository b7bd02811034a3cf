"""Fig. 2b, 9 and 10, and the summary of a run, as text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from teachmesh_lab.bench.cell import Result
from teachmesh_lab.bench.summary import images_that_travel
from teachmesh_lab.figures.comparison_tables import plus_minus, points
from teachmesh_lab.figures.figure_scene import Scene, compared_told
from teachmesh_lab.figures.table_files import Table
from teachmesh_lab.figures.task_figures import difficulty

_ACCOUNT = {
    "macs_teacher": "teacher_macs", "macs_student": "student_macs", "bytes": "bytes",
    "total": "total", "speedup": "speedup", "efficiency": "efficiency",
}  # fmt: skip
"""Column of a row -> attribute of `cost_ledger.Account`."""

_PAPER_SETS = (
    ("SKILL-102 (paper)", "102", "7,059", "5,162,149", "99.6 %"),
    ("Visual Domain Decathlon (paper)", "10", "3,128", "1,659,142", "97.6 %"),
    ("CIFAR-100 (paper)", "20", "100", "60,000", "27.5 %"),
    ("F-CelebA (paper)", "10", "20", "1,180", "36.4 %"),
    ("fine-grained 6 (paper)", "6", "1,943", "1,440,086", "49.5 %"),
)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Make a table from a summary's rows for one stream and one backbone."""
    header = ["method", "agents", "network", "accuracy of", "accuracy", "± seeds", "95 % (t)",
              "± images", "seeds", "test images", "mapper", "forgetting", "speed-up", "efficiency",
              "seconds"]  # fmt: skip
    return header, [
        [
            str(row["method"]) + (" *" if row["derived"] else ""),
            str(row["agents"]),
            network_text(row),
            str(row["measure"]),
            percent(row["accuracy"]),
            plus_minus(row["accuracy_sd"]),
            half_width(row["accuracy_95"]),
            half_width(row["accuracy_images"]),
            str(len(row["seeds"])),
            f"{row['test_images']:,}",
            percent(row["mapper"]),
            percent(row["forgetting"]),
            _number(row["speedup"], ".2f"),
            _number(row["efficiency"], ".3f"),
            _number(row["wall_s"], ".1f"),
        ]
        for row in rows
    ]


def network_text(row: Mapping[str, Any]) -> str:
    """Return the network of a row, its millions of parameters, and its input size."""
    return f"{row['network']}, {row['parameters'] / 1e6:.2f} M, {row['size_px']} px"


def figure_9(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Make the table of one agent's costs, for training, for tuning and for one answer."""
    alone = _one_each([row for row in rows if row["agents"] == 1])
    reference = min((row["macs_teacher"] for row in alone), default=1.0)
    header = ["one agent", "training (MAC)", "relative", "choice (MAC)", "answer (MAC per image)",
              "accuracy of", "accuracy", "± seeds", "seeds"]  # fmt: skip
    return header, [
        [
            str(row["method"]),
            f"{row['macs_teacher']:.3g}",
            f"{row['macs_teacher'] / reference:.3g}x",
            f"{row['macs_choice']:.3g}" if row["macs_choice"] else "-",
            f"{row['macs_test_per_image']:.3g}",
            str(row["measure"]),
            *_over_seeds(row),
        ]
        for row in alone
    ]


def figure_10(
    rows: Sequence[Mapping[str, Any]], agents: int, results: Sequence[Result], alpha: float
) -> Table:
    """Make the table for N agents: their speed-up, and the costs of the last agent to finish."""
    chosen = _one_each([row for row in rows if row["agents"] == agents])
    reference = min((row["total"] for row in chosen), default=1.0)
    header = [f"{agents} agents", "teacher (MAC)", "bytes", "student (MAC)", "total (MAC)",
              "speed-up", "efficiency", "relative", "accuracy", "± seeds", "seeds"]  # fmt: skip
    return header, [
        [
            str(row["method"]) + (" *" if row["derived"] else ""),
            f"{row['macs_teacher']:.3g}",
            f"{row['bytes']:.3g}",
            f"{row['macs_student']:.3g}",
            f"{row['total']:.3g}",
            f"{row['speedup']:.3f}",
            f"{row['efficiency']:.4f}",
            f"{row['total'] / reference:.3g}x",
            *_over_seeds(row),
        ]
        for row in [*chosen, *_with_images(chosen, agents, results, alpha)]
    ]


def _with_images(
    rows: Sequence[Mapping[str, Any]], agents: int, results: Sequence[Result], alpha: float
) -> list[dict[str, Any]]:
    """Return the rows of `maha` with the costs of sending sample images."""
    found = []
    for row in rows:
        cells = [r for r in results if r.cell.agents == 1 and r.cell.method == row["method"]]
        if row["method"] == "maha" and cells:
            paid = [images_that_travel(cell, agents, row["packing"], alpha) for cell in cells]
            columns = {
                column: float(np.mean([getattr(one, name) for one in paid]))
                for column, name in _ACCOUNT.items()
            }
            found.append({**row, **columns, "method": "maha, images travel", "derived": True})
    return found


def figure_2b(scene: Scene) -> Table:
    """Make a table that compares this stream with the data sets in the paper's Fig. 2b."""
    tasks = next(iter(scene.alone.values()))[0].values["tasks"]
    images = sum(t["train"] + t["validation"] + t["test"] for t in tasks)
    found = difficulty(scene)
    gap = "-" if found is None else percent(float(found[0].max() - found[0].min()))
    header = ["data set", "tasks", "classes", "images", "largest gap of difficulty"]
    own = [scene.stream, str(len(tasks)), f"{sum(t['classes'] for t in tasks):,}", f"{images:,}"]
    return header, [[*own, gap], *[list(row) for row in _PAPER_SETS]]


def _one_each(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one row per method; a method has a task oracle only if it has one in the paper."""
    return [row for row in rows if row["oracle"] == compared_told(row["method"])]


def _over_seeds(row: Mapping[str, Any]) -> list[str]:
    """Return the accuracy, its deviation over seeds, and the number of seeds."""
    accuracy = percent(row["accuracy"])
    return [accuracy, plus_minus(row["accuracy_sd"]), str(len(row["seeds"]))]


def percent(value: float | None) -> str:
    """Return a share in per cent with one decimal; "-" for None."""
    return "-" if value is None else f"{100 * value:.1f} %"


def half_width(value: float | None) -> str:
    """Return an error in points; "-" for None."""
    return "-" if value is None else points(value)


def _number(value: float | None, pattern: str) -> str:
    return "-" if value is None else format(value, pattern)
