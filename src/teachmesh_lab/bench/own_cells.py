"""Cells of teachmesh's own methods without biases: one agent, measured after every task.

A teacher learns the tasks in turn, and a student consolidates the skills, as in an agent. Skills go
directly from teacher to student, without bank or network, so 36 tasks take only seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent.answers.student import Student
from teachmesh.biases.bias_task import TaskImages
from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.learning.variants import NO_CONSTANTS, MapperConstants, find_variant
from teachmesh.mapping.accuracies import Accuracies, choose
from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh.mapping.metric import Metric
from teachmesh.model.backbone import Latents
from teachmesh.model.macs import FACTORISATIONS, count_macs
from teachmesh.packet.codec import skill_id
from teachmesh.packet.signing import AgentKey, sign
from teachmesh.packet.skill import Skill
from teachmesh_lab.bench.bench_methods import constants_of
from teachmesh_lab.bench.cell import MEASURES
from teachmesh_lab.bench.stream_latents import TaskLatents
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.evaluation.image_answers import ImageAnswers

if TYPE_CHECKING:
    from teachmesh.data.tasks import Task
    from teachmesh.model.backbone import Backbone
    from teachmesh_lab.bench.cell import Cell
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
        answers: answers to the test images of each task, after the last task.
    """

    mapper: np.ndarray
    final: np.ndarray
    oracle: np.ndarray
    confusion: np.ndarray
    answers: list[ImageAnswers] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the lower triangle of each matrix, row by row, and the confusion matrix."""
        rows = {name: triangle(getattr(self, kind)) for name, kind in MEASURES.items()}
        answers = [answer.to_json() for answer in self.answers]
        return {**rows, "confusion": self.confusion.astype(int).tolist(), "answers": answers}

    def enter(self, after: int, task: int, right: Accuracies) -> None:
        """Set the accuracies on one task, measured after task `after` was learned."""
        for kind in set(MEASURES.values()):
            getattr(self, kind)[after, task] = getattr(right, kind)


@dataclass(frozen=True)
class StudentCosts:
    """Multiply-accumulates of one student that holds all skills.

    Attributes:
        register: cost of each skill on its own: for `moments`, its densities; otherwise 0.
        consolidation: cost of the work on all skills together, which the first image waits for:
            for `maha`, the tied covariance and its factorisation; otherwise 0.
        per_image: cost of classifying one image, without the backbone pass.
    """

    register: tuple[int, ...]
    consolidation: int
    per_image: int


def run_ours(
    cell: Cell, tasks: Sequence[TaskLatents], backbone: Backbone
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Learn all tasks with one agent and measure its accuracy after each task.

    Args:
        cell: method, seed and constants of the task mapper.
        tasks: tasks in the order of learning.
        backbone: network that computed the latents.

    Returns:
        The results determined by the configuration, and the measured seconds.
    """
    clock = time.perf_counter
    constants = constants_of(dict(cell.options))
    student = Student(cell.method, backbone.reference.metric, ridge=constants.ridge)
    skills: dict[str, Skill] = {}
    ids: list[str] = []
    sizes: list[int] = []
    learn_s: list[float] = []
    student_s = measure_s = 0.0
    curves = _empty_curves(len(tasks))
    for position, task in enumerate(tasks):
        before_s = clock()
        skill, data = make_skill(cell.method, task, backbone, cell.seed, constants)
        learn_s.append(clock() - before_s)
        ids.append(skill_id(data))
        skills[ids[-1]] = skill
        sizes.append(len(data))
        before_s = clock()
        student.sync(skills, skills.__getitem__)
        student_s += clock() - before_s
        before_s = clock()
        _measure(curves, position, student, ids, tasks)
        measure_s += clock() - before_s
    result = {
        "tasks": [task_sizes(task) for task in tasks],
        "needs_oracle": False,
        "parallel": "skills",
        **curves.to_json(),
        "validation": _on_validation_images(student, ids, tasks),
        **counted(cell, tasks[0].test.latents, backbone, skills, sizes),
    }
    return result, {"learn_s": learn_s, "student_s": student_s, "measure_s": measure_s}


def counted(
    cell: Cell,
    latents: Latents,
    backbone: Backbone,
    skills: Mapping[str, Skill],
    sizes: Sequence[int],
    passes: int = 1,
) -> dict[str, Any]:
    """Return the costs of skills for a cell's file, in multiply-accumulates and bytes.

    Args:
        cell: method and constants of the task mapper.
        latents: latents of one or more images; the cost of an answer is counted for the first.
        backbone: network that computed the latents.
        skills: skills by id, in the order of learning.
        sizes: size of each encoded skill in bytes.
        passes: maximum number of backbone passes for one answer.
    """
    method, ridge = find_variant(cell.method).method, constants_of(dict(cell.options)).ridge
    student = student_costs(method, skills, latents, backbone.reference.metric, ridge)
    costs = [
        TaskCost(skill.card.task, skill.card.cost_macs, size, _numbers(skill), register)
        for skill, size, register in zip(skills.values(), sizes, student.register, strict=True)
    ]
    return {
        "costs": [cost.to_json() for cost in costs],
        "consolidation_macs": student.consolidation,
        "mapper_macs_per_image": student.per_image,
        "test_macs_per_image": backbone.macs_per_image * passes + student.per_image,
        "backbone_macs_per_image": backbone.macs_per_image,
        "latent_dim": backbone.last_dim,
    }


def student_costs(
    method: str,
    skills: Mapping[str, Skill],
    latents: Latents,
    metric: Metric,
    ridge: float | None = None,
) -> StudentCosts:
    """Count the costs of a new student that receives all skills and then classifies images.

    A student consolidates when the first image is classified after skills arrived, not at every
    arrival. So N agents that share T tasks pay for T registrations and one consolidation each.

    Args:
        method: name of the task mapper.
        skills: skills by id, in the order of learning.
        latents: latents of one or more images; the first one is classified.
        metric: metric of the backbone's latents.
        ridge: ridge of `maha`; None for the default.
    """
    student = Student(method, metric, ridge=ridge)
    register = [_register_macs(student, skill) for skill in skills.values()]
    student.sync(skills, skills.__getitem__)
    one = Latents(latents.last[:1], latents.multi[:1])
    # Another image, because a mapper may keep what it computed for the first one.
    other = Latents(*(np.nextafter(x, np.float32(np.inf)) for x in (one.last, one.multi)))
    first = count_student_macs(lambda: student.decide(one).answer())
    later = count_student_macs(lambda: student.decide(other).answer())
    return StudentCosts(tuple(register), first - later, later)


def count_student_macs(work: Callable[[], object]) -> int:
    """Count the multiply-accumulates of matrix products, convolutions and factorisations.

    torch counts only products and convolutions. Consolidating skills also needs a factorisation,
    so the formulas for such operations are added here.

    Args:
        work: function whose operations are counted; called once, in this thread only.

    Examples:
        >>> import torch
        >>> count_student_macs(lambda: torch.linalg.cholesky(torch.eye(60)))
        36000
    """
    return count_macs(work, FACTORISATIONS)


def _register_macs(student: Student, skill: Skill) -> int:
    anchor = skill.anchor(student.method)
    assert anchor is not None
    return count_student_macs(lambda: student.mapper.derive(anchor))


def make_skill(
    method: str,
    task: TaskLatents,
    backbone: Backbone,
    seed: int,
    constants: MapperConstants = NO_CONSTANTS,
    store: StoredBiases | None = None,
) -> tuple[Skill, bytes]:
    """Make the skill of a task; seconds on its card are set to 0, so its bytes are reproducible.

    Args:
        method: name of the variant: a task mapper, with or without biases.
        task: latents and images of the task.
        backbone: network that computed the latents.
        seed: seed for clusters, samples and batch order.
        constants: constants of the task mappers.
        store: cache of trained biases.
    """
    variant = find_variant(method)
    lesson = Lesson.of(task, variant, created=_CREATED, seed=seed, constants=constants)
    images = TaskImages(task.images.train, task.images.validation)
    latents = EmbeddedTask(task.train, task.validation, images)
    skill = Teacher(backbone, Author(_KEY.public_key, "bench"), store).teach(lesson, latents)
    skill = Skill(dataclasses.replace(skill.card, cost_s=0.0), skill.tensors)
    return skill, sign(skill, _KEY).data


def _numbers(skill: Skill) -> int:
    return sum(array.size for array in skill.tensors.values())


def sample_images(task: Task, per_class: int = SAMPLES_PER_CLASS) -> int:
    """Return the number of sample images that the paper's MAHA would send."""
    counts = np.bincount(task.train.labels, minlength=len(task.classes))
    return int(np.minimum(counts, per_class).sum())


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
    answers = choose(decisions, np.repeat(columns, sizes))
    ends = np.cumsum(sizes)
    for j, task in enumerate(learned):
        rows = slice(ends[j] - sizes[j], ends[j])
        curves.enter(position, j, answers.score(columns[j], task.test.labels, rows))
        if len(learned) == len(tasks):
            own = ImageAnswers.of(answers.renumbered(task_of_column), task.test.labels, rows)
            curves.answers.append(own)
            answered = task_of_column[answers.mapped[rows]]
            curves.confusion[j] = np.bincount(answered, minlength=len(tasks))


def _on_validation_images(
    student: Student, ids: Sequence[str], tasks: Sequence[TaskLatents]
) -> dict[str, list[float | None]]:
    """Return each task's accuracies on validation images, by which constants are chosen."""
    found: dict[str, list[float | None]] = {"mapper": [], "accuracy": []}
    for skill, task in zip(ids, tasks, strict=True):
        right = None
        if len(task.validation):
            decisions = student.decide(task.validation.latents)
            column = decisions.skill_ids.index(skill)
            answers = choose(decisions, np.full(len(task.validation), column))
            right = answers.score(column, task.validation.labels)
        for name, values in found.items():
            values.append(None if right is None else getattr(right, MEASURES[name]))
    return found


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
