"""Whether biases help, and how much the decision with them should count: validation images say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skillmesh.mapping.fusion import fuse, log_loss, log_softmax
from skillmesh.packet.bias_tensors import SkillBiases

if TYPE_CHECKING:
    from skillmesh.model.head import Head


@dataclass(frozen=True, eq=False)
class Candidate:
    """A head that could travel with the biases.

    Attributes:
        head: reads the features of the biased network.
        features: (V, D) float32 of the validation images.
    """

    head: Head
    features: np.ndarray


@dataclass(frozen=True, eq=False)
class Candidates:
    """What training one task's biases gave.

    Attributes:
        values: (B,) float32 biases in the paper's units, not yet encoded.
        heads: those that were fitted on top of them.
        macs: multiply-accumulates of all of it.
    """

    values: np.ndarray
    heads: tuple[Candidate, ...]
    macs: int


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best candidate, and whether it helps.

    Attributes:
        weight: share of its decision in the whole one; 0 if it does not help.
        accuracy_without: on the validation images, fraction of 1.
        accuracy_with: the same with the best candidate at its best weight, helpful or not.
        biases: for the skill; None if they do not help.
    """

    weight: float
    accuracy_without: float
    accuracy_with: float
    biases: SkillBiases | None


def choose(
    candidates: Iterable[Candidate],
    values: tuple[np.ndarray, np.ndarray | None],
    without: np.ndarray,
    labels: np.ndarray,
    weights: Sequence[float],
) -> Chosen:
    """Take the head and weight of least log loss; keep them if more answers are right.

    Log loss chooses because it is much less noisy than the share of right answers among a hundred
    images; where as many are right, the lower log loss decides. Heads are judged as rounded as
    they travel.

    Args:
        candidates: at least one.
        values: encoded biases and their scales.
        without: (V, C) log posteriors without biases, given the task.
        labels: (V,) int64.
        weights: shares to try, each above 0.
    """
    best_loss, best_weight, best_fused, best = np.inf, 0.0, without, None
    for candidate in candidates:
        biases = SkillBiases.of(*values, candidate.head)
        posteriors = log_softmax(biases.head().logits(candidate.features))
        for weight in weights:
            fused = fuse(without, posteriors, weight)
            loss = log_loss(fused, labels)
            if loss < best_loss:
                best_loss, best_weight, best_fused, best = loss, weight, fused, biases
    before, after = accuracy(without, labels), accuracy(best_fused, labels)
    helps = after > before or (after == before and best_loss < log_loss(without, labels))
    return Chosen(best_weight if helps else 0.0, before, after, best if helps else None)


def accuracy(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers."""
    return float(np.mean(posteriors.argmax(axis=1) == labels))
