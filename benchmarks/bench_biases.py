"""The tables of docs/results/biases.md: `python -m benchmarks.bench_biases --tasks DIR --out DIR`.

Every cell is one `evaluate` of one task (or, with `--whole`, of all of them together) and one JSON
file; what is there already is not measured again, and what a killed cell had trained is in the
home's cache. `--print` writes the tables from what is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEN = (
    "traffic_signs",
    "playing_cards",
    "cifar10",
    "facial_expression_web",
    "oracle_bone_script",
    "trash",
    "satellite_rsscn7",
    "brain_tumor_mri",
    "white_blood_cells",
    "asl_fingerspelling",
)
CHOICES = ("none", "auto", "half", "last:10", "all")
"""Of layers, the cheapest first."""
METHODS = ("moments", "maha")
WHOLE = (
    *("gmmc", "maha", "gmmc+bb", "maha+bb", "bb-h2t"),
    *("moments", "moments+bb", "moments+bb-last", "maha+bb-last"),
)


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        tasks: names of the tasks.
        method: task mapper or variant.
        bb: layers, or None for what the variant says.
    """

    tasks: tuple[str, ...]
    method: str
    bb: str | None

    @property
    def file(self) -> str:
        """Name of its JSON file."""
        what = self.tasks[0] if len(self.tasks) == 1 else f"whole-{len(self.tasks)}"
        return f"{what}-{self.method}-{self.bb or 'default'}.json".replace(":", "")


def cells(tasks: Sequence[str], whole: bool, paper: bool) -> Iterator[Cell]:
    """Task by task, or the tables of all tasks together.

    Args:
        tasks: names.
        whole: all tasks in one bank.
        paper: the variants of the paper with biases on all layers instead of `auto`.
    """
    if whole:
        for method in WHOLE:
            given = "all" if paper and ("+bb" in method or "h2t" in method) else None
            yield Cell(tuple(tasks), method, None if method.endswith("-last") else given)
        return
    for task in tasks:
        for method in METHODS:
            for bb in CHOICES:
                yield Cell((task,), method, bb)


def measure(cell: Cell, options: argparse.Namespace) -> dict[str, Any]:
    """The document of `skillmesh evaluate` for one cell."""
    from skillmesh.experiments.evaluate import EvaluateOptions, run_evaluate

    return run_evaluate(
        EvaluateOptions(
            options.tasks,
            only=cell.tasks,
            method=cell.method,
            bb=cell.bb,
            backbone=options.backbone,
            home=options.home,
        )
    )


def first_table(documents: Mapping[Cell, Mapping[str, Any]]) -> str:
    """Oracle accuracy, passes, bytes and seconds, task by task."""
    lines = []
    for method in METHODS:
        lines += [f"\n{method}\n", "| task | " + " | ".join(CHOICES) + " |"]
        lines.append("|---" * (len(CHOICES) + 1) + "|")
        sums: dict[str, list[tuple[float, float, float, float]]] = {bb: [] for bb in CHOICES}
        for task in dict.fromkeys(c.tasks[0] for c in documents if len(c.tasks) == 1):
            row = [task]
            for bb in CHOICES:
                found = documents.get(Cell((task,), method, bb))
                if found is None:
                    row.append("")
                    continue
                entry = found["tasks"][0]
                passes, wall_s = found["cost"]["backbone_passes"], found["wall_s"]["learn"]
                figures = (entry["oracle"], passes, entry["skill_bytes"], wall_s)
                sums[bb].append(figures)
                row.append(_figures(*figures))
            lines.append("| " + " | ".join(row) + " |")
        means = [
            _figures(*(sum(column) / len(column) for column in zip(*sums[bb], strict=True)))
            if sums[bb]
            else ""
            for bb in CHOICES
        ]
        lines.append("| mean | " + " | ".join(means) + " |")
    return "\n".join(lines)


def _figures(oracle: float, passes: float, size_bytes: float, wall_s: float) -> str:
    return f"{100 * oracle:.1f} ({passes:.1f}, {size_bytes / 1000:.0f} KB, {wall_s:.0f} s)"


def second_table(documents: Mapping[Cell, Mapping[str, Any]]) -> str:
    """Mapper, oracle, final and direct of the variants, all tasks in one bank."""
    lines = ["| variant | mapper | oracle | final | direct | passes | KB per skill |"]
    lines.append("|---" * 7 + "|")
    for cell, document in documents.items():
        if len(cell.tasks) == 1:
            continue
        mean = document["mean"]
        shares = [mean[key] for key in ("mapper", "oracle", "final", "direct")]
        shown = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
        passes = f"{document['cost']['backbone_passes']:.2f}"
        name = cell.method + (f" ({cell.bb})" if cell.bb else "")
        kilobytes = f"{mean['skill_bytes'] / 1000:.0f}"
        lines.append("| " + " | ".join([name, *shown, passes, kilobytes]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, or print what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="folder of tasks")
    parser.add_argument("--out", type=Path, required=True, help="folder of the JSON files")
    parser.add_argument("--only", help="comma-separated names; the ten of the issue by default")
    parser.add_argument("--every", action="store_true", help="all tasks of the folder")
    parser.add_argument("--whole", action="store_true", help="all tasks in one bank")
    parser.add_argument("--paper", action="store_true", help="with --whole: biases on all layers")
    parser.add_argument("--print", action="store_true", dest="show", help="tables, no measuring")
    parser.add_argument("--backbone")
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    names: Sequence[str] = options.only.split(",") if options.only else TEN
    if options.every:
        from skillmesh.data.tasks import find_tasks, task_name

        names = [task_name(path) for path in find_tasks(options.tasks)]
    documents: dict[Cell, dict[str, Any]] = {}
    options.out.mkdir(parents=True, exist_ok=True)
    for cell in cells(names, options.whole, options.paper):
        path = options.out / cell.file
        if path.exists():
            documents[cell] = json.loads(path.read_text())
        elif not options.show:
            documents[cell] = measure(cell, options)
            # By rename: a killed run leaves no half of a cell.
            part = path.with_suffix(".part")
            part.write_text(json.dumps(documents[cell]))
            part.replace(path)
            print(f"{cell.file}: {documents[cell]['mean']['oracle']:.4f}", flush=True)
    print(second_table(documents) if options.whole else first_table(documents))


if __name__ == "__main__":
    main()
