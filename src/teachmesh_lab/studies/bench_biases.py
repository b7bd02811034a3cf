"""Measures beneficial biases, for docs/results/biases_measured.md.

    python -m teachmesh_lab.studies.bench_biases --tasks DIR --out DIR --home HOME --backbone ALIAS

Every measurement is one `evaluate` and one line of `OUT/results.jsonl`. A measurement whose line is
there is not made again; one that was killed begins anew, with the latents and the trained biases
that the home's cache has. `--show` prints the two tables from the lines that are there.

With `--train-images` and `--validation-images` a smaller copy of each task lies in
`OUT/tasks-*`: the first images of every class, and all test images.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEN = (
    *("traffic_signs", "playing_cards", "cifar10", "facial_expression_web", "oracle_bone_script"),
    *("trash", "satellite_rsscn7", "brain_tumor_mri", "white_blood_cells", "asl_fingerspelling"),
)
"""Tasks on which frozen latents leave something to gain."""
FEWEST = 4
"""Images of a class that a smaller copy has at least."""


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        task: its name; `whole` for all of them in one bank.
        method: task mapper or variant.
        bb: layers, or None for what the variant says.
    """

    task: str
    method: str
    bb: str | None

    @property
    def key(self) -> str:
        """As it is called in the file."""
        return f"{self.task} {self.method} {self.bb or 'default'}"


def cells(tasks: Sequence[str], only: str) -> Iterator[Cell]:
    """What is to be measured, what matters most first.

    Args:
        tasks: names.
        only: `tasks` for one bank per task, `whole` for one of all, or `both`.
    """
    alone, whole = only != "whole", only != "tasks"
    if alone:
        yield from (Cell(t, "moments", bb) for bb in ("none", "auto") for t in tasks)
    if whole:
        yield from (Cell("whole", m, None) for m in ("moments", "moments+bb", "maha", "gmmc"))
    if alone:
        yield from (Cell(t, "moments", bb) for bb in ("all", "half", "last:10") for t in tasks)
        yield from (Cell(t, "maha", bb) for bb in ("none", "auto", "all") for t in tasks)
    if whole:
        for method in ("maha+bb", "gmmc+bb", "moments+bb-last", "maha+bb-last", "bb-h2t"):
            yield Cell("whole", method, None)
        yield from (Cell("whole", method, "all") for method in ("gmmc+bb", "maha+bb", "bb-h2t"))
    if alone:
        yield from (Cell(t, "maha", bb) for bb in ("half", "last:10") for t in tasks)


def main() -> None:
    """Measure what is missing, or print what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="folder of tasks")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--home", type=Path, help="agent's home, with a cache")
    parser.add_argument("--backbone", help="its alias in the home")
    parser.add_argument("--names", help="comma-separated tasks, or `every`; default ten")
    parser.add_argument("--measure", choices=("both", "tasks", "whole"), default="both")
    parser.add_argument("--choices", help="only these of --bb, comma-separated: none,auto,last:10")
    parser.add_argument("--methods", help="only these, comma-separated: moments,maha+bb")
    parser.add_argument("--train-images", type=int, help="about so many per task, evenly")
    parser.add_argument("--validation-images", type=int, help="likewise")
    parser.add_argument("--show", action="store_true", help="print the tables, measure nothing")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.jsonl"
    if options.show:
        from teachmesh_lab.studies.biases_tables import tables

        print(tables(read_lines(file)))
        return
    names = _names(options)
    folder = _smaller(options, names)
    done = {line["key"] for line in read_lines(file)}
    for cell in cells(names, options.measure):
        asked = _asked(options.choices, cell.bb) and _asked(options.methods, cell.method)
        if cell.key in done or not asked:
            continue
        line = measure(cell, folder, names, options)
        with file.open("a") as lines:
            lines.write(json.dumps(line) + "\n")
        print(f"{cell.key}: {100 * line['document']['mean']['oracle']:.1f}", flush=True)


def measure(
    cell: Cell, folder: Path, names: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    """The line of one cell: what was measured, the document of `evaluate`, processor seconds."""
    from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate

    began_s = time.process_time()
    document = run_evaluate(
        EvaluateOptions(
            folder,
            only=names if cell.task == "whole" else (cell.task,),
            method=cell.method,
            bb=cell.bb,
            backbone=options.backbone,
            home=options.home,
        )
    )
    what = {"key": cell.key, "task": cell.task, "method": cell.method, "bb": cell.bb or "default"}
    return {**what, "cpu_s": round(time.process_time() - began_s, 1), "document": document}


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Lines of the results; one that a kill cut off does not count, and is cut off the file."""
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def _asked(wanted: str | None, value: str | None) -> bool:
    """Whether a list on the command line names a value; no list names all."""
    return wanted is None or value in wanted.split(",")


def _names(options: argparse.Namespace) -> Sequence[str]:
    if options.names != "every":
        return TEN if options.names is None else tuple(options.names.split(","))
    from teachmesh.data.tasks import find_tasks, task_name

    return [task_name(path) for path in find_tasks(options.tasks)]


def _smaller(options: argparse.Namespace, names: Sequence[str]) -> Path:
    """Folder of tasks with the wanted number of images; the given one where all are wanted."""
    limits = (options.train_images, options.validation_images)
    if limits == (None, None):
        return Path(options.tasks)
    from teachmesh.data.tasks import find_tasks, read_task

    folder = Path(options.out) / "tasks-{}-{}".format(*(limit or "all" for limit in limits))
    for path in find_tasks(options.tasks, names):
        task = read_task(path, seed=0)
        if (folder / task.name).exists():
            continue
        part = Path(options.out) / f"part-{task.name}"
        shutil.rmtree(part, ignore_errors=True)
        for split, name, limit in (
            (task.train, "train", limits[0]),
            (task.validation, "val", limits[1]),
            (task.test, "test", None),
        ):
            counts = [0] * len(task.classes)
            most = None if limit is None else max(FEWEST, limit // len(task.classes))
            for image, label in zip(split.images, split.labels, strict=True):
                counts[label] += 1
                if most is None or counts[label] <= most:
                    target = part / name / task.classes[label]
                    target.mkdir(parents=True, exist_ok=True)
                    ending = Path(image.member or image.path.name).suffix
                    (target / f"{counts[label]:05d}{ending}").write_bytes(image.read())
        folder.mkdir(exist_ok=True)
        part.rename(folder / task.name)  # whole or not at all
    return folder


if __name__ == "__main__":
    main()
