"""Three tasks of synthetic latents: two styles of the same classes, and a task of other classes."""

from __future__ import annotations

import numpy as np

from teachmesh.data.tasks import Split, Task
from teachmesh.mapping.metric import Metric
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh_lab.studies.reuse_tasks import ReusePlan, StudyTask
from teachmesh_lab.studies.study_cells import StudyInputs

DIM, IMAGES, ANIMALS = 24, 30, ("dog", "elephant", "giraffe")


def pacs_tasks() -> dict[str, StudyTask]:
    """Return `pacs_photo`, `pacs_art` (another style) and `cifar10`, whose classes are far away."""
    random = np.random.default_rng(0)
    centres = 4 * random.standard_normal((3, DIM))
    style = 0.5 * random.standard_normal(DIM)
    return {
        "cifar10": _task(
            "cifar10", ("truck", "ship", "frog"), 4 * random.standard_normal((3, DIM))
        ),
        "pacs_art": _task("pacs_art", ANIMALS, centres + style),
        "pacs_photo": _task("pacs_photo", ANIMALS, centres),
    }


def plan_of(tasks: dict[str, StudyTask]) -> ReusePlan:
    """Return a plan with one seed and three images per class."""
    inputs = StudyInputs({name: task.task for name, task in tasks.items()}, "f" * 64)
    return ReusePlan(inputs, tasks, seeds=1, shots=(3,))


def _task(name: str, classes: tuple[str, ...], centres: np.ndarray) -> StudyTask:
    split = Split((), np.zeros(0, dtype=np.int64))
    task = Task(name, classes, split, split, split, "", None, (), ())
    labels = np.repeat(np.arange(len(classes)), IMAGES)
    noise = np.random.default_rng(len(name)).standard_normal((len(labels), DIM))
    latents = (centres[labels] + noise).astype(np.float32)
    images = LabelledLatents(Latents(latents, latents), labels)
    return StudyTask(task, lambda *_: images, lambda: Metric.identity(DIM))
