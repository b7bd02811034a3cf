"""Whether biases help, and how much the decision with them should count: validation images say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.mapping.fusion import (
    fuse,
    in_errors,
    log_softmax,
    tempered_log_loss,
    tempered_losses,
)
from teachmesh.packet.bias_tensors import SkillBiases

if TYPE_CHECKING:
    from teachmesh.model.head import Head


FEWEST_WRONG = 3
"""Validation images answered wrongly without biases, below which no gain could show."""


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
    """Take the weight of least log loss; keep the biases if they clearly help.

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
    helps = gain_is_clear(without, fused, labels)
    return Chosen(weight if helps else 0.0, before, after, biases if helps else None)


def gain_is_clear(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> bool:
    """Whether more answers are right, and true classes are likelier by a standard error.

    Likelihood carries the test because every image has a say in it: of a hundred images only a few
    are answered otherwise, so the share of right answers alone would miss most real gains.

    Args:
        before: (V, C) log posteriors without biases.
        after: (V, C) with them.
        labels: (V,) int64.

    Examples:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> before = log_softmax(np.array([[0.5, 0.0]] * 6))
        >>> gain_is_clear(before, log_softmax(4.0 * np.eye(2)[labels]), labels)
        True
        >>> gain_is_clear(before, log_softmax(4.0 * np.eye(2)[[0, 0, 0, 1, 1, 1]]), labels)
        False
    """
    if accuracy(after, labels) <= accuracy(before, labels):
        return False
    gains = tempered_losses(before, labels) - tempered_losses(after, labels)
    return in_errors(gains) >= 1


def leaves_room(without: np.ndarray, labels: np.ndarray) -> bool:
    """Whether enough validation images are answered wrongly for biases to show a gain.

    Args:
        without: (V, C) log posteriors without biases.
        labels: (V,) int64.
    """
    return int(np.sum(without.argmax(axis=1) != labels)) >= FEWEST_WRONG


def not_tried(without: np.ndarray, labels: np.ndarray) -> Chosen:
    """What is said of biases that were not worth training; arguments as for `leaves_room`."""
    share = accuracy(without, labels)
    return Chosen(0.0, share, share, None)


def accuracy(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers."""
    return float(np.mean(posteriors.argmax(axis=1) == labels))
