"""Signed skills of an attacker, made from the skills that honest authors published."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.packet.signing import AgentKey, VerifiedSkill, sign
from teachmesh.packet.skill import Skill
from teachmesh_lab.drill.honest_tasks import author_key

FORGED = "2026-01-02T00:00:00Z"
"""Time of creation on forged cards."""
MALLORY = author_key("mallory")


def with_means(anchor: MomentsAnchor, means: np.ndarray, **changes: Any) -> MomentsAnchor:
    """Return an anchor with other class means, and rows of its head for them.

    Args:
        anchor: class moments of a task.
        means: (K, D) class means in the metric's space.
        changes: other tensors to change.
    """
    levels, scales = quantise_rows(means.astype(np.float32))
    rows = np.arange(len(means)) % anchor.n_classes
    return dataclasses.replace(
        anchor,
        means=levels,
        mean_scales=scales,
        head=anchor.head[rows],
        head_scales=anchor.head_scales[rows],
        head_bias=anchor.head_bias[rows],
        **changes,
    )


def with_classes(anchor: MomentsAnchor, rows: Sequence[int]) -> MomentsAnchor:
    """Return an anchor with some of its classes."""
    names = ("means", "mean_scales", "head", "head_scales", "head_bias")
    parts = {name: getattr(anchor, name)[list(rows)] for name in names}
    return dataclasses.replace(anchor, **parts)


def with_spread(anchor: MomentsAnchor, spread: float) -> MomentsAnchor:
    """Return an anchor with a covariance of the same variance in all directions."""
    rest = np.array([spread], dtype=np.float32)
    return dataclasses.replace(anchor, rest=rest, variances=0 * anchor.variances)


def forge(
    base: Skill,
    anchor: TaskAnchor,
    task: str,
    key: AgentKey = MALLORY,
    classes: Sequence[str] | None = None,
    **changes: Any,
) -> VerifiedSkill:
    """Return a signed skill with the moments of an attacker.

    Args:
        base: skill whose card and other tensors are used.
        anchor: its class moments, which may be packed.
        task: name of the task.
        key: key of the author.
        classes: names of the classes; by default, new names.
        changes: other fields of the card to change.
    """
    count = anchor.n_classes
    card = dataclasses.replace(
        base.card,
        task=task,
        classes=tuple(classes or (f"class {number}" for number in range(count))),
        images_per_class=(50,) * count,
        author=key.public_key,
        alias="mallory",
        **{"created": FORGED, "calibration": {}, **changes},
    )
    kept = {name: a for name, a in base.tensors.items() if not name.startswith("moments.")}
    moments = {f"moments.{name}": array for name, array in anchor.tensors().items()}
    return sign(Skill(card, kept | moments), key)


def copy_of(base: Skill, key: AgentKey = MALLORY, **changes: Any) -> VerifiedSkill:
    """Return a copy of a skill with other fields on its card, signed by another author."""
    card = dataclasses.replace(base.card, author=key.public_key, alias="mallory", **changes)
    return sign(Skill(card, base.tensors), key)
