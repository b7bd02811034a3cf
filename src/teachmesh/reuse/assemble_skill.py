"""Assemble the anchor and the head of a new task from classes of old skills, without images.

- `moments`: combined class moments. Their head is the discriminant, or consists of old head rows.
- `maha`: class means and samples of the old classes, with a head of old rows.
- `gmmc`: impossible, because a cluster belongs to a whole task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from teachmesh.errors import UsageError
from teachmesh.mapping.anchor_kinds import MahaAnchor, MomentsAnchor
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.model.head import Head
from teachmesh.reuse.combined_moments import Part, combine_moments
from teachmesh.reuse.combined_samples import SamplePart, combine_samples
from teachmesh.reuse.head_rows import RowPart, merge_rows, read_norm
from teachmesh.reuse.source_skills import SourceSkill


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


@dataclass(frozen=True, eq=False)
class ClassPart:
    """Classes of one source skill that become classes of the new task.

    Attributes:
        source: the skill.
        labels: (M,) int64 indices of the classes in the skill.
        classes: (M,) int64 indices of these classes in the new task.
    """

    source: SourceSkill
    labels: np.ndarray
    classes: np.ndarray


def assemble(
    method: str, parts: Sequence[ClassPart], n_classes: int, rows: str | None
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
        row_parts = [RowPart(_head_of(part, method), part.labels, part.classes) for part in parts]
        head = merge_rows(row_parts, n_classes, read_norm(rows))
    if method == MahaAnchor.kind:
        return combine_samples([_samples_of(part) for part in parts], n_classes), head
    anchor = combine_moments([_moments_of(part) for part in parts], n_classes)
    return (anchor if head is None else _with_head(anchor, head)), None


def _head_of(part: ClassPart, method: str) -> Head:
    """Return the head that decides within the old task: that of class moments, or a trained one."""
    moments = part.source.moments()
    if method == MomentsAnchor.kind and moments is not None:
        return Head(moments.head_rows(), moments.head_bias)
    head = part.source.skill.head()
    assert head is not None  # see `can_combine`
    return head


def _moments_of(part: ClassPart) -> Part:
    moments = part.source.moments()
    assert moments is not None  # see `can_combine`
    return Part(moments, part.labels.tolist(), part.classes)


def _samples_of(part: ClassPart) -> SamplePart:
    anchor = part.source.skill.anchor(MahaAnchor.kind)
    assert isinstance(anchor, MahaAnchor)  # see `can_combine`
    return SamplePart(anchor, part.labels, part.classes)


def _with_head(anchor: MomentsAnchor, head: Head) -> MomentsAnchor:
    """Replace the head of class moments."""
    weights, scales = quantise_rows(head.weight)
    return replace(anchor, head=weights, head_scales=scales, head_bias=head.bias)
