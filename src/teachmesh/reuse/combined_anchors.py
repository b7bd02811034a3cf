"""Build a new task from old classes without any images (Sec. 7.2, 1).

- `moments`: the class means come from the old tasks, and the scatter is the mean of their scatters.
  The head is the linear discriminant computed from both, or consists of old head rows (Fig. 13).
- `maha`: class means and samples of the old classes, with a head of old rows.
- `gmmc`: impossible, because a cluster belongs to a whole task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from teachmesh.errors import UsageError
from teachmesh.mapping.anchor_kinds import MahaAnchor, MomentsAnchor
from teachmesh.mapping.discriminant import TaskMoments
from teachmesh.mapping.moments_fit import LinearScores, pack_moments
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.mapping.within_covariance import Covariance
from teachmesh.model.head import Head, OldClasses, merge_rows, read_norm
from teachmesh.reuse.moments_prior import pooled_whitening
from teachmesh.reuse.source_skills import SourceSkill

STYLE_RIDGE = 0.1
"""Ridge penalty on a task's style, relative to the weight of one class mean.

If the class means do not determine a style, the penalty makes it zero."""
RIDGE = 0.1
"""Ridge added to the diagonal of the pooled scatter, as a fraction of the diagonal's mean."""


def combine_moments(parts: Sequence[OldClasses[MomentsAnchor]], n_classes: int) -> MomentsAnchor:
    """Combine class moments of old tasks into class moments of a new task, without any images.

    Args:
        parts: old classes; together they cover every class of the new task.
        n_classes: number of classes of the new task, C.

    Raises:
        ValueError: a class of the new task is not covered by any part.
    """
    missing = n_classes - len({int(label) for part in parts for label in part.classes})
    if missing:
        raise ValueError(f"expected every class in a part, {missing} are in none")
    tasks = [part.old.moments() for part in parts]
    means = _joined_means(parts, tasks, n_classes)
    roots = np.concatenate([task.roots for task in tasks]) / len(tasks) ** 0.5
    degrees = sum(int(part.old.degrees[0]) for part in parts)
    within = Covariance(roots, degrees, rest=float(np.mean([task.rest for task in tasks])))
    return pack_moments(means, within, _discriminant(means, tasks))


def _joined_means(
    parts: Sequence[OldClasses[MomentsAnchor]], tasks: Sequence[TaskMoments], n: int
) -> np.ndarray:
    """Return (C, D) class means, without the styles of the old tasks.

    Least squares splits each old class mean into the mean of the class and the style of the task.
    Styles can be estimated only for tasks that share classes. The styles of the other tasks count
    as zero, because a difference between these tasks also separates their classes.
    """
    sums = np.zeros((len(parts) + n, parts[0].old.dim))
    normal = np.diag(np.r_[np.full(len(parts), STYLE_RIDGE), np.zeros(n)])
    for style, (part, task) in enumerate(zip(parts, tasks, strict=True)):
        for label, new in zip(part.labels, part.classes, strict=True):
            pair = [style, len(parts) + new]
            normal[np.ix_(pair, pair)] += 1
            sums[pair] += task.means[label]
    return np.asarray(np.linalg.solve(normal, sums)[len(parts) :])


def _discriminant(means: np.ndarray, tasks: Sequence[TaskMoments]) -> LinearScores:
    """Return the linear discriminant of (C, D) class means and the mean scatter of the tasks.

    Its scores have the scale of a head fitted to the targets 0 and 1. At the class means, the right
    score is on average 1 higher than the other scores, and the mean of all scores is 1 / C.
    """
    (n_classes, dim), centre = means.shape, means.mean(axis=0)
    matrix = (
        pooled_whitening(tasks, RIDGE).apply(torch.eye(dim, dtype=torch.float64)).numpy()
    )  # (D, D)
    white = (means - centre) @ matrix  # (C, D)
    products = white @ white.T
    scores = products - 0.5 * products.diagonal()  # (class mean, class)
    right = float(scores.diagonal().mean())
    others = float((scores.sum() - scores.trace()) / (n_classes * (n_classes - 1)))
    unit = 1 / max(right - others, 1e-12)
    values = unit * (-0.5 * products.diagonal())
    values += 1 / n_classes - unit * float(scores.mean())
    return LinearScores(unit * (white @ matrix.T), centre, values)


def combine_samples(parts: Sequence[OldClasses[MahaAnchor]], n_classes: int) -> MahaAnchor:
    """Combine class means and samples of old tasks, without any images.

    A class with several parents has the mean of their means. Samples keep their distance from the
    mean of their class, so that differences between tasks do not widen the covariance.

    Args:
        parts: old classes; together they cover every class of the new task.
        n_classes: number of classes of the new task, C.
    """
    dim = parts[0].old.dim
    sums, counts = np.zeros((n_classes, dim)), np.zeros(n_classes)
    for part in parts:
        np.add.at(sums, part.classes, part.old.means[np.asarray(part.labels)].astype(np.float64))
        np.add.at(counts, part.classes, 1)
    means = sums / counts[:, None]
    samples, classes = [], []
    for part in parts:
        residuals = part.old.residuals()
        for old, new in zip(part.labels, part.classes, strict=True):
            own = residuals[part.old.sample_classes == old]
            samples.append(means[new] + own)
            classes.append(np.full(len(own), new, dtype=np.uint16))
    joined = np.concatenate(samples).astype(np.float32)
    return MahaAnchor(means.astype(np.float32), joined, np.concatenate(classes))


def check_method(method: str, rows: str | None) -> None:
    """Check that skills of this method can be combined.

    Args:
        method: method of the skills.
        rows: value of `combine --rows`, or None.

    Raises:
        UsageError: the norm is unknown, or skills of the method cannot be combined.
    """
    if rows is not None:
        read_norm(rows)
    if method == MomentsAnchor.kind or (method == MahaAnchor.kind and rows is not None):
        return
    if method == MahaAnchor.kind:
        raise UsageError(
            f"expected --rows with the method {method!r}: only class moments can be combined "
            "without head rows"
        )
    raise UsageError(
        f"expected the method 'moments', or 'maha' with --rows, got {method!r}: its clusters "
        "belong to a whole task, so they cannot be combined by class"
    )


def can_combine(source: SourceSkill, method: str) -> bool:
    """Return whether classes of a skill can be combined into a skill of this method."""
    if method == MomentsAnchor.kind:
        return source.moments() is not None
    return source.skill.anchor(method) is not None and source.skill.head() is not None


def assemble(
    method: str, parts: Sequence[OldClasses[SourceSkill]], n_classes: int, rows: str | None
) -> tuple[MomentsAnchor | MahaAnchor, Head | None]:
    """Return the anchor of the new task, and its trained head if the method has one.

    Args:
        method: method of the old skills and of the new one, see `check_method`.
        parts: old classes; together they cover every class of the new task.
        n_classes: number of classes of the new task, C.
        rows: value of `combine --rows`; None for the discriminant of the class moments.
    """
    head = None
    if rows is not None:
        heads = [part.of(_head_of(part.old, method)) for part in parts]
        head = merge_rows(heads, n_classes, read_norm(rows))
    if method == MahaAnchor.kind:
        samples = [part.of(_samples_of(part.old)) for part in parts]
        return combine_samples(samples, n_classes), head
    anchor = combine_moments([part.of(_moments_of(part.old)) for part in parts], n_classes)
    return (anchor if head is None else _with_head(anchor, head)), None


def _head_of(source: SourceSkill, method: str) -> Head:
    """Return the head that decides within the old task: that of class moments, or a trained one."""
    moments = source.moments()
    if method == MomentsAnchor.kind and moments is not None:
        return Head(moments.head_rows(), moments.head_bias)
    head = source.skill.head()
    assert head is not None  # see `can_combine`
    return head


def _moments_of(source: SourceSkill) -> MomentsAnchor:
    moments = source.moments()
    assert moments is not None  # see `can_combine`
    return moments


def _samples_of(source: SourceSkill) -> MahaAnchor:
    anchor = source.skill.anchor(MahaAnchor.kind)
    assert isinstance(anchor, MahaAnchor)  # see `can_combine`
    return anchor


def _with_head(anchor: MomentsAnchor, head: Head) -> MomentsAnchor:
    """Replace the head of class moments."""
    weights, scales = quantise_rows(head.weight)
    return replace(anchor, head=weights, head_scales=scales, head_bias=head.bias)
