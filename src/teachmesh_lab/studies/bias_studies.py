"""Beneficial biases measured with `evaluate`: one bank per task, and all tasks in one bank.

- `biases-tasks`: every task in its own bank.
- `biases-bank`: all tasks in one bank.

Latents and trained biases are kept in the home's cache, so a killed measurement can be resumed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from teachmesh.bank.home import Home
from teachmesh.data.tasks import Split, Task
from teachmesh_lab.evaluation import bias_store
from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate
from teachmesh_lab.studies.study_cells import Study, StudyCell, StudyInputs, Values, select_names

TEN = (
    *("traffic_signs", "playing_cards", "cifar10", "facial_expression_web", "oracle_bone_script"),
    *("trash", "satellite_rsscn7", "brain_tumor_mri", "white_blood_cells", "asl_fingerspelling"),
)
"""Ten tasks on which frozen latents have a low accuracy."""
MIN_CLASS_IMAGES = 4
"""Minimum number of images per class in a smaller copy of a task."""
DEFAULT = "default"
"""Choice of layers for variants that define their own layers."""
_MEASURED = ("wall_s", "images_embedded", "images_from_cache")
"""Keys of an evaluation whose values differ between runs."""


@dataclass(frozen=True, eq=False)
class BiasStudyPlan:
    """Scope of the studies of biases.

    Attributes:
        inputs: tasks and backbone.
        home: home with the backbone and the caches.
        backbone: alias of the backbone.
        out: folder for the cells and for smaller copies of the tasks.
        choices: values of `learn --bb` (choices of layers) to measure; None for all.
        methods: methods to measure; None for all.
        train_images: approximate number of training images to keep per task; None for all.
        validation_images: approximate number of validation images to keep; None for all.
    """

    inputs: StudyInputs
    home: Home
    backbone: str
    out: Path
    choices: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    train_images: int | None = None
    validation_images: int | None = None

    @property
    def size(self) -> str:
        """Numbers of training and validation images, such as `240-100`; empty if all are used."""
        limits = self.train_images, self.validation_images
        return "" if limits == (None, None) else "-".join(str(limit or "all") for limit in limits)

    def cell(self, part: str, tasks: Sequence[str], *values: str, **arguments: object) -> StudyCell:
        """Make a cell.

        Args:
            part: name of the study.
            tasks: names of the tasks to measure.
            values: main arguments, shown in the label.
            arguments: all arguments of the measurement except tasks and size.
        """
        label = [*tasks[: len(tasks) == 1], *values, *filter(None, [self.size])]
        common = {"tasks": list(tasks), "size": self.size, "bias_version": bias_store.VERSION}
        return self.inputs.cell(part, label, tasks, **common, **arguments)

    def folder(self, cell: StudyCell) -> Path:
        """Return a folder that contains the tasks of a cell, reduced to the plan's size."""
        tasks = [self.inputs.tasks[name] for name in cell.arguments["tasks"]]
        if not self.size:
            return Path(tasks[0].source).parent
        folder = self.out / "tasks" / f"{self.size}-{cell.tasks_digest[:16]}"
        for task in tasks:
            self._copy(task, folder)
        return folder

    def _copy(self, task: Task, folder: Path) -> None:
        """Write a smaller copy of a task, with all its test images, unless the copy exists."""
        if (folder / task.name).exists():
            return
        part = folder / f".part-{task.name}"
        shutil.rmtree(part, ignore_errors=True)
        for split, name, limit in (
            (task.train, "train", self.train_images),
            (task.validation, "val", self.validation_images),
            (task.test, "test", None),
        ):
            most = None if limit is None else max(MIN_CLASS_IMAGES, limit // len(task.classes))
            _copy_split(split, task.classes, part / name, most)
        part.rename(folder / task.name)  # last, so that an existing copy is complete


def bias_tasks(plan: BiasStudyPlan) -> Study:
    """Return the study of every task in its own bank, with the main cells first."""
    cells = [
        plan.cell("biases-tasks", (task,), method, bb, method=method, bb=bb)
        for method, bb in _chosen(plan, _task_methods())
        for task in plan.inputs.tasks
    ]
    return Study(cells, lambda cell: _evaluate(plan, cell))


def bias_bank(plan: BiasStudyPlan) -> Study:
    """Return the study of all tasks in one bank without a task oracle; the main cells are first."""
    names = tuple(plan.inputs.tasks)
    cells = [
        plan.cell("biases-bank", names, method, bb, method=method, bb=bb)
        for method, bb in _chosen(plan, _bank_methods())
    ]
    return Study(cells, lambda cell: _evaluate(plan, cell))


def _task_methods() -> Iterator[tuple[str, str]]:
    """Yield each pair (method, choice of layers) for the study of single tasks."""
    yield from (("moments", bb) for bb in ("none", "auto", "all", "half", "last:10"))
    yield from (("maha", bb) for bb in ("none", "auto", "all", "half", "last:10"))


def _bank_methods() -> Iterator[tuple[str, str]]:
    """Yield each pair (method or variant, choice of layers) for the study of one bank."""
    plain = ("moments", "moments+bb", "maha", "gmmc")
    other = ("maha+bb", "gmmc+bb", "moments+bb-last", "maha+bb-last", "bb-h2t")
    yield from ((method, DEFAULT) for method in (*plain, *other))
    yield from ((method, "all") for method in ("gmmc+bb", "maha+bb", "bb-h2t"))


def _chosen(plan: BiasStudyPlan, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the pairs (method, choice of layers) that the plan asks for."""
    known = tuple(pairs)
    methods, choices = ({pair[part]: None for pair in known} for part in (0, 1))
    wanted_methods = select_names(plan.methods, methods, "--methods")
    wanted_choices = select_names(plan.choices, choices, "--choices")
    return (pair for pair in known if pair[0] in wanted_methods and pair[1] in wanted_choices)


def _evaluate(plan: BiasStudyPlan, cell: StudyCell) -> Values:
    """Return the result of `evaluate`, without timings and cache statistics."""
    bb = cell.arguments["bb"]
    document = run_evaluate(
        EvaluateOptions(
            plan.folder(cell),
            only=cell.arguments["tasks"],
            method=cell.arguments["method"],
            bb=None if bb == DEFAULT else bb,
            backbone=plan.backbone,
            home=plan.home.path,
        )
    )
    return {"document": {key: document[key] for key in document if key not in _MEASURED}}


def _copy_split(split: Split, classes: Sequence[str], folder: Path, most: int | None) -> None:
    """Copy the first `most` images of each class, or all images if `most` is None."""
    counts = [0] * len(classes)
    for image, label in zip(split.images, split.labels, strict=True):
        counts[label] += 1
        if most is None or counts[label] <= most:
            target = folder / classes[label]
            target.mkdir(parents=True, exist_ok=True)
            suffix = Path(image.member or image.path.name).suffix
            (target / f"{counts[label]:05d}{suffix}").write_bytes(image.read())
