"""Make a skill fit into a number of bytes, with as little loss of accuracy as possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.data.names import shown
from teachmesh.errors import UsageError
from teachmesh.learning.fit_statistics import moments_accuracy
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.moments import EVIDENCE_UNIT
from teachmesh.mapping.packed_moments import Packing, pack_moments
from teachmesh.packet.codec import encode
from teachmesh.packet.skill import Skill

if TYPE_CHECKING:
    from teachmesh.mapping.metric import Metric

PACKINGS = (
    Packing(2, 32, 4),
    Packing(2, 16, 4),
    Packing(2, 16, 3),
    Packing(2, 16, 2),
    Packing(1, 16, 2),
    Packing(1, 8, 2),
    Packing(1, 8, 1),
    Packing(1, 4, 1),
    Packing(2, 16, 0),
    Packing(2, 8, 0),
    Packing(1, 16, 0),
    Packing(1, 8, 0),
    Packing(1, 4, 0),
    Packing(1, 1, 0),
)
"""Ways to write class moments, most accurate first.

Ordered by *direct* on the validation images of 36 real tasks, averaged over three networks (see
docs/results/beyond.md). Heads need more bits than means: the mapper hardly notices rounded means,
but rounded heads confuse classes. Many classes make a head expensive, so that a skill of many
classes may need a later way."""
SAMPLE = 400
"""Number of training images from which the shift of familiarity is estimated."""
_START = f"{MomentsAnchor.kind}."
_HELD_OUT = f"held_out.{MomentsAnchor.kind}"
_UNSIGNED = "0" * 128
_LONG_S, _LONG_SHARE = 99999.999, 2 / 21
"""Numbers with as many digits as any on a card."""


@dataclass(frozen=True, eq=False)
class TaskLatents:
    """Latents of a task, to measure a smaller skill with.

    Attributes:
        metric: metric of the backbone's latents.
        train: (N, D) latents of training images.
        validation: (M, D) latents of validation images; M may be 0.
        labels: (M,) int64 class of each validation image.
    """

    metric: Metric
    train: np.ndarray
    validation: np.ndarray
    labels: np.ndarray

    def accuracy(self, anchor: MomentsAnchor) -> float | None:
        """Return the accuracy on validation images; None without any."""
        return moments_accuracy(self.validation, self.labels, self.metric, anchor)

    def shift(self, before: MomentsAnchor, after: MomentsAnchor) -> float:
        """Return how much packing changes the familiarity of images of the task, on average."""
        step = -(-len(self.train) // SAMPLE)
        z = torch.from_numpy(self.metric.apply(self.train[::step]))
        densities = (TaskDensity.of(anchor.moments()) for anchor in (before, after))
        old, new = (float(density.evidence(z).mean()) for density in densities)
        return (new - old) / EVIDENCE_UNIT


def packing_of(skill: Skill) -> Packing | None:
    """Return how the class moments of a skill are packed; None if they are not."""
    planes = skill.tensors.get(f"{_START}mean_planes")
    if planes is None:
        return None
    rank = len(skill.tensors[f"{_START}variances"])
    head = skill.tensors.get(f"{_START}head_planes")
    n_classes = skill.n_classes
    return Packing(len(planes) // n_classes, rank, 0 if head is None else len(head) // n_classes)


def packed(skill: Skill, packing: Packing, latents: TaskLatents | None) -> Skill:
    """Return a skill whose class moments are packed in this way.

    Args:
        skill: an unsigned skill of `moments` alone; its tensors may be packed already.
        packing: numbers of bits and of directions.
        latents: latents of the task. Without them, the card has no accuracy, and scores of held-out
            images stay.

    Raises:
        UsageError: the moments of the skill cannot be packed.
    """
    check_packs(skill)
    return _measured(skill, _rewritten(skill, packing), latents)


def _rewritten(skill: Skill, packing: Packing) -> Skill:
    """Return a skill with packed tensors, and the card of the skill before."""
    kept = {name: a for name, a in skill.tensors.items() if not name.startswith(_START)}
    arrays = pack_moments(_moments(skill), packing).tensors()
    return Skill(skill.card, kept | {f"{_START}{name}": array for name, array in arrays.items()})


def _measured(before: Skill, after: Skill, latents: TaskLatents | None) -> Skill:
    """Return a packed skill with its own accuracy and scores of held-out images."""
    if latents is None:
        return Skill(replace(after.card, validation_accuracy=None), after.tensors)
    tensors, anchor = dict(after.tensors), _moments(after)
    if (held_out := after.held_out(MomentsAnchor.kind)) is not None:
        shift = latents.shift(_moments(before), anchor)
        moved = (held_out.lowest + shift).astype(np.float32)
        tensors[_HELD_OUT] = replace(held_out, lowest=moved).tensor()
    return Skill(replace(after.card, validation_accuracy=latents.accuracy(anchor)), tensors)


def fit_to_bytes(skill: Skill, max_bytes: int, latents: TaskLatents | None) -> Skill:
    """Return a skill in the most accurate way of writing that fits.

    Args:
        skill: an unsigned skill; it is returned if it fits.
        max_bytes: maximum size of the signed file in bytes.
        latents: latents of the task; None if they are not kept.

    Raises:
        UsageError: nothing fits, or the skill has more than class moments.
    """
    least = signed_size(skill)
    if least <= max_bytes:
        return skill
    check_packs(skill)
    for packing in PACKINGS:
        small = _rewritten(skill, packing)
        if (size := signed_size(small)) <= max_bytes:
            return _measured(skill, small, latents)
        least = min(least, size)
    raise UsageError(
        f"expected at least {least} bytes for the {skill.n_classes} classes of "
        f"'{shown(skill.card.task)}', got --max-bytes {max_bytes}; allow more, or split the task"
    )


def check_packs(skill: Skill) -> None:
    """Check that the moments of a skill can be packed.

    Raises:
        UsageError: the skill has other anchors or biases, or D is not a multiple of 8.
    """
    anchor = skill.anchor(MomentsAnchor.kind)
    if skill.card.anchors != (MomentsAnchor.kind,) or anchor is None or skill.has_biases:
        raise UsageError(
            f"expected a skill of moments without biases, got '{shown(skill.card.task)}' with "
            f"{', '.join(skill.card.anchors)}; only class moments can be made smaller"
        )
    if anchor.dim % 8:
        raise UsageError(
            f"expected latents of a multiple of 8 numbers, got {anchor.dim}; skills of the "
            f"backbone '{shown(skill.card.backbone_name)}' cannot be made smaller"
        )


def signed_size(skill: Skill) -> int:
    """Return the largest size of the signed file, in bytes, over all times and accuracies."""
    card = replace(skill.card, cost_s=_LONG_S, validation_accuracy=_LONG_SHARE)
    return len(encode(Skill(card, skill.tensors), _UNSIGNED))


def _moments(skill: Skill) -> MomentsAnchor:
    anchor = skill.anchor(MomentsAnchor.kind)
    assert isinstance(anchor, MomentsAnchor)
    return anchor
