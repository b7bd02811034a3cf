"""Use validation images to decide whether biases help, and to choose their weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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
    from teachmesh.biases.bias_plan import BiasPlan
    from teachmesh.biases.bias_task import BiasTask
    from teachmesh.model.head import Head


FEWEST_WRONG = 3
"""Minimum number of validation errors without biases; with fewer, no gain could be measured."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A head that will be stored with the biases if they help.

    Attributes:
        head: head on the features of the biased network.
        features: features of the V validation images, a (V, D) float32 array.
    """

    head: Head
    features: np.ndarray


@dataclass(frozen=True, eq=False)
class Trained:
    """Trained biases of one task.

    Attributes:
        values: tensor of B float32 biases in the paper's units, not yet encoded.
        head: head fitted to the network with these biases.
        macs: number of multiply-accumulates of the whole training.
    """

    values: np.ndarray
    head: Candidate
    macs: int


class BiasStore(Protocol):
    """Cache of trained biases between runs, used by the laboratory but not by agents."""

    def fetch(
        self, task: BiasTask, plan: BiasPlan, head2toe: bool, train: Callable[[], Trained]
    ) -> Trained:
        """Return the stored result for these arguments, or call `train` and store its result."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The decision whether to keep the biases, with their weight and their effect on accuracy.

    Attributes:
        weight: weight of the decision with biases in the fused decision; 0 if they do not help.
        accuracy_without: accuracy on validation images without biases, 0 to 1.
        accuracy_with: accuracy on validation images with biases at their best weight, 0 to 1.
        biases: biases for the skill; None if they do not help.
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
    *,
    always: bool = False,
) -> Chosen:
    """Choose the weight with the lowest log loss; drop the biases unless they clearly help.

    Log loss is much less noisy than accuracy on a hundred images. It is computed at the best
    temperature, so that overconfidence has no effect. With biases, every later answer needs a
    second pass, so the gain must be at least its standard error (`gain_is_clear`). The head is
    rounded before it is evaluated, because skills contain the rounded head.

    Args:
        candidate: the head, and the features it reads for the validation images.
        values: encoded biases, and their scales (None if the encoding has none).
        without: (V, C) array of log posteriors without biases, given the task.
        labels: (V,) int64 class indices.
        weights: candidate weights of the decision with biases, each above 0.
        always: True to keep the biases even if they do not help.
    """
    biases = SkillBiases.of(*values, candidate.head)
    posteriors = log_softmax(biases.head().logits(candidate.features))
    pools = [(fuse(without, posteriors, weight), weight) for weight in weights]
    fused, weight = min(pools, key=lambda pool: tempered_log_loss(pool[0], labels))
    before, after = accuracy(without, labels), accuracy(fused, labels)
    if always or gain_is_clear(without, fused, labels):
        return Chosen(weight, before, after, biases)
    return Chosen(0.0, before, after, None)


def gain_is_clear(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> bool:
    """Return True if accuracy rises and the mean log loss falls by at least one standard error.

    Every image contributes to the log loss, whereas biases change the answer for only a few of a
    hundred images. Therefore a test of accuracy alone would miss most real gains.

    Args:
        before: (V, C) log posteriors without biases.
        after: (V, C) log posteriors with biases.
        labels: (V,) int64 class indices.

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


def gain_can_show(without: np.ndarray, labels: np.ndarray) -> bool:
    """Return True if there are enough validation errors to measure a gain.

    Args:
        without: (V, C) log posteriors without biases.
        labels: (V,) int64 class indices.
    """
    return int(np.sum(without.argmax(axis=1) != labels)) >= FEWEST_WRONG


def not_tried(without: np.ndarray, labels: np.ndarray) -> Chosen:
    """Return the decision if no biases were trained; the arguments are those of `gain_can_show`."""
    share = accuracy(without, labels)
    return Chosen(0.0, share, share, None)


def accuracy(posteriors: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of images whose most probable class is correct."""
    return float(np.mean(posteriors.argmax(axis=1) == labels))
