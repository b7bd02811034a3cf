"""Whether biases help, and how much the decision with them should count: validation images say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skillmesh.mapping.fusion import fuse, log_softmax, tempered_log_loss
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
class Trained:
    """What training one task's biases gave.

    Attributes:
        values: (B,) float32 biases in the paper's units, not yet encoded.
        head: fitted on top of them.
        macs: multiply-accumulates of all of it.
    """

    values: np.ndarray
    head: Candidate
    macs: int


@dataclass(frozen=True, eq=False)
class Chosen:
    """Whether biases help, and with which weight.

    Attributes:
        weight: share of their decision in the whole one; 0 if they do not help.
        accuracy_without: on the validation images, fraction of 1.
        accuracy_with: the same with biases at their best weight, helpful or not.
        biases: for the skill; None if they do not help.
    """

    weight: float
    accuracy_without: float
    accuracy_with: float
    biases: SkillBiases | None


def choose(
    candidate: Candidate,
    values: tuple[np.ndarray, np.ndarray | None],
    without: np.ndarray,
    labels: np.ndarray,
    weights: Sequence[float],
) -> Chosen:
    """Take the weight of least log loss; keep the biases if clearly more answers are right.

    Log loss chooses because it is much less noisy than the share of right answers among a hundred
    images; at its best temperature, because classes count here and not confidence. Biases cost
    every later answer a second pass, so their gain has to be above its own noise
    (`gain_is_clear`). The head is judged as rounded as it travels.

    Args:
        candidate: the head.
        values: encoded biases and their scales.
        without: (V, C) log posteriors without biases, given the task.
        labels: (V,) int64.
        weights: shares to try, each above 0.
    """
    biases = SkillBiases.of(*values, candidate.head)
    posteriors = log_softmax(biases.head().logits(candidate.features))
    pools = [(fuse(without, posteriors, weight), weight) for weight in weights]
    fused, weight = min(pools, key=lambda pool: tempered_log_loss(pool[0], labels))
    before, after = accuracy(without, labels), accuracy(fused, labels)
    helps = gain_is_clear(without.argmax(axis=1) == labels, fused.argmax(axis=1) == labels)
    return Chosen(weight if helps else 0.0, before, after, biases if helps else None)


def gain_is_clear(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether images gained outnumber those lost by at least one standard error.

    If biases made no difference, each of the k images on which the two differ would be gained or
    lost by the toss of a coin: a difference of 0 with a standard error of sqrt(k) (McNemar's test).

    Args:
        before: (V,) bool, right without biases.
        after: (V,) bool, right with them.

    Examples:
        >>> before = np.array([True, True, False, False, False])
        >>> gain_is_clear(before, np.array([True, True, True, True, False]))
        True
        >>> gain_is_clear(before, np.array([True, False, True, True, False]))
        False
    """
    gained, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    return gained > lost and (gained - lost) ** 2 >= gained + lost


def accuracy(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers."""
    return float(np.mean(posteriors.argmax(axis=1) == labels))
