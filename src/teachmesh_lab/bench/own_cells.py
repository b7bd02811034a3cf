"""Cells of teachmesh's own methods without biases: one agent, measured after every task.

A teacher learns the tasks in turn, and a student consolidates the skills, as in an agent. Skills go
directly from teacher to student, without bank or network, so 36 tasks take only seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from teachmesh.agent.student import Student
from teachmesh.biases.bias_task import TaskImages
from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.learning.variants import find_variant
from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh.model.backbone import Latents
from teachmesh.model.macs import Formula, count_macs
from teachmesh.packet.codec import skill_id
from teachmesh.packet.signing import AgentKey, sign
from teachmesh.packet.skill import Skill
from teachmesh_lab.bench.cell import MEASURES
from teachmesh_lab.bench.stream_latents import TaskLatents
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.evaluation.metrics import Accuracies, answer

if TYPE_CHECKING:
    from teachmesh.data.tasks import Task
    from teachmesh.mapping.metric import Metric
    from teachmesh.model.backbone import Backbone
    from teachmesh_lab.evaluation.bias_store import StoredBiases

_KEY = AgentKey(hashlib.sha256(b"teachmesh.bench").digest())
_CREATED = "2000-01-01T00:00:00Z"  # constant, so that two runs produce identical skills


@dataclass(frozen=True, eq=False)
class Curves:
    """Accuracy matrices of one cell (see `evaluation.metrics`); NaN above the diagonal.

    Attributes:
        mapper: (T, T) fractions of images that are mapped to the right task.
        final: (T, T) fractions of images with the right task and class. As in the paper, the
            mapper chooses the task, and that task's skill chooses the class.
        oracle: (T, T) fractions of images with the right class if the task is given.
        confusion: (T, T) counts after the last task; rows: task of the image, columns: answer.
    """

    mapper: np.ndarray
    final: np.ndarray
    oracle: np.ndarray
    confusion: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Return the lower triangle of each matrix, row by row, and the confusion matrix."""
        rows = {name: triangle(getattr(self, kind)) for name, kind in MEASURES.items()}
        return {**rows, "confusion": self.confusion.astype(int).tolist()}

    def enter(self, after: int, task: int, right: Accuracies) -> None:
        """Set the accuracies on one task, measured after task `after` was learned."""
        for kind in set(MEASURES.values()):
            getattr(self, kind)[after, task] = getattr(right, kind)


def run_ours(
    method: str, tasks: Sequence[TaskLatents], backbone: Backbone, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Learn all tasks with one agent and measure its accuracy after each task.

    Args:
        method: name of the task mapper.
        tasks: tasks in the order of learning.
        backbone: network that computed the latents.
        seed: seed for clusters, samples and batch order.

    Returns:
        The results determined by the configuration, and the measured seconds.
    """
    clock = time.perf_counter
    student = Student(method, backbone.reference.metric)
    skills: dict[str, Skill] = {}
    ids: list[str] = []
    costs: list[TaskCost] = []
    learn_s: list[float] = []
    student_s = measure_s = 0.0
    curves = _empty_curves(len(tasks))
    for position, task in enumerate(tasks):
        before_s = clock()
        skill, data = make_skill(method, task, backbone, seed)
        learn_s.append(clock() - before_s)
        ids.append(skill_id(data))
        skills[ids[-1]] = skill
        before_s = clock()
        register = count_student_macs(lambda: student.sync(ids, skills.__getitem__))
        student_s += clock() - before_s
        numbers = sum(array.size for array in skill.tensors.values())
        costs.append(TaskCost(task.name, skill.card.cost_macs, len(data), numbers, register))
        before_s = clock()
        _measure(curves, position, student, ids, tasks)
        measure_s += clock() - before_s
    result = {
        "tasks": [task_sizes(task) for task in tasks],
        "needs_oracle": False,
        "parallel": "skills",
        **curves.to_json(),
        **counted(method, tasks[0].test.latents, backbone, skills, costs),
    }
    return result, {"learn_s": learn_s, "student_s": student_s, "measure_s": measure_s}


def counted(
    method: str,
    latents: Latents,
    backbone: Backbone,
    skills: Mapping[str, Skill],
    costs: Sequence[TaskCost],
    passes: int = 1,
) -> dict[str, Any]:
    """Return the costs of skills for a cell's file, in multiply-accumulates and bytes.

    Args:
        method: name of the task mapper.
        latents: latents of one or more images; the cost of an answer is counted for the first.
        backbone: network that computed the latents.
        skills: skills by id, in the order of learning.
        costs: cost of each task.
        passes: maximum number of backbone passes for one answer.
    """
    consolidation, per_image = student_macs(method, skills, latents, backbone.reference.metric)
    return {
        "costs": [cost.to_json() for cost in costs],
        "consolidation_macs": consolidation,
        "mapper_macs_per_image": per_image,
        "test_macs_per_image": backbone.macs_per_image * passes + per_image,
        "backbone_macs_per_image": backbone.macs_per_image,
        "latent_dim": backbone.last_dim,
    }


def make_skill(
    method: str,
    task: TaskLatents,
    backbone: Backbone,
    seed: int,
    store: StoredBiases | None = None,
) -> tuple[Skill, bytes]:
    """Make the skill of a task; seconds on its card are set to 0, so its bytes are reproducible.

    Args:
        method: name of the variant: a task mapper, with or without biases.
        task: latents and images of the task.
        backbone: network that computed the latents.
        seed: seed for clusters, samples and batch order.
        store: cache of trained biases.
    """
    lesson = Lesson.of(task, find_variant(method), created=_CREATED, seed=seed)
    images = TaskImages(task.images.train, task.images.validation)
    latents = EmbeddedTask(task.train, task.validation, images)
    skill = Teacher(backbone, Author(_KEY.public_key, "bench"), store).teach(lesson, latents)
    skill = Skill(dataclasses.replace(skill.card, cost_s=0.0), skill.tensors)
    return skill, sign(skill, _KEY).data


def count_student_macs(work: Callable[[], object]) -> int:
    """Count the multiply-accumulates of matrix products, convolutions and factorisations.

    torch counts only matrix products and convolutions. Consolidating skills also needs a
    factorisation, so the formulas for such operations are added here.

    Args:
        work: function whose operations are counted; called once. It must factorise only
            matrices without a batch axis.

    Examples:
        >>> count_student_macs(lambda: torch.linalg.cholesky(torch.eye(60)))
        36000
    """
    return count_macs(work, _FORMULAS)


def sample_image_bytes(task: Task, per_class: int = SAMPLES_PER_CLASS) -> int:
    """Return the total file size of the sample images that the paper's MAHA would send."""
    total = 0
    for label in range(len(task.classes)):
        for row in np.flatnonzero(task.train.labels == label)[:per_class]:
            image = task.train.images[row]
            size = image.path.stat().st_size if image.size_bytes is None else image.size_bytes
            total += size
    return total


def triangle(matrix: np.ndarray) -> list[list[float]]:
    """Return the lower triangle of a (T, T) matrix, row by row."""
    return [[float(value) for value in row[: i + 1]] for i, row in enumerate(matrix)]


def _measure(
    curves: Curves,
    position: int,
    student: Student,
    ids: Sequence[str],
    tasks: Sequence[TaskLatents],
) -> None:
    """Measure the accuracy on all tasks learned so far, with all test images in one batch."""
    learned = tasks[: position + 1]
    decisions = student.decide(_joined([task.test.latents for task in learned]))
    columns = [decisions.skill_ids.index(skill) for skill in ids]
    task_of_column = np.argsort(columns)
    sizes = [len(task.test) for task in learned]
    answers = answer(decisions, np.repeat(columns, sizes))
    ends = np.cumsum(sizes)
    for j, task in enumerate(learned):
        rows = slice(ends[j] - sizes[j], ends[j])
        curves.enter(position, j, answers.score(columns[j], task.test.labels, rows))
        if len(learned) == len(tasks):
            answered = task_of_column[answers.mapped[rows]]
            curves.confusion[j] = np.bincount(answered, minlength=len(tasks))


def student_macs(
    method: str, skills: Mapping[str, Skill], latents: Latents, metric: Metric
) -> tuple[int, int]:
    """Return the multiply-accumulates for consolidating all skills, and for one answer."""
    student = Student(method, metric)
    student.sync(list(skills), skills.__getitem__)
    one = Latents(latents.last[:1], latents.multi[:1])
    first, later = (count_student_macs(lambda: student.decide(one).answer()) for _ in range(2))
    return first - later, later


def _joined(parts: Sequence[Latents]) -> Latents:
    return Latents(
        np.concatenate([part.last for part in parts]),
        np.concatenate([part.multi for part in parts]),
    )


def task_sizes(task: TaskLatents | Task) -> dict[str, Any]:
    """Return the name of a task and its numbers of classes and images, as JSON values."""
    return {
        "name": task.name,
        "classes": len(task.classes),
        "train": len(task.train),
        "validation": len(task.validation),
        "test": len(task.test),
    }


def _empty_curves(n: int) -> Curves:
    unknown = np.full((n, n), np.nan)
    return Curves(unknown.copy(), unknown.copy(), unknown.copy(), np.zeros((n, n)))


def _cholesky(matrix: torch.Tensor, **_: Any) -> int:
    return 2 * (len(matrix) ** 3 // 6)


def _cholesky_solve(right: torch.Tensor, factor: torch.Tensor, *_: Any, **__: Any) -> int:
    # One forward and one backward substitution, D^2 / 2 each, per column.
    return int(2 * len(factor) ** 2 * right.shape[1])


def _triangular(factor: torch.Tensor, right: torch.Tensor, **_: Any) -> int:
    return int(len(factor) ** 2 * right.shape[1])


def _eigen(matrix: torch.Tensor, *_: Any, **__: Any) -> int:
    # Reduction to tridiagonal form and back-transformation: about 9 n^3 operations.
    return 9 * len(matrix) ** 3


_ATEN = torch.ops.aten
_FORMULAS: dict[Any, Formula] = {
    _ATEN.linalg_cholesky_ex: _cholesky,
    _ATEN.cholesky_solve: _cholesky_solve,
    _ATEN.linalg_solve_triangular: _triangular,
    _ATEN._linalg_eigh: _eigen,
}
