"""Permuted digits: five tasks, one network, and the accuracies to compare, without any download.

Every task shows scikit-learn's 8x8 digits with the pixels in another fixed order (Goodfellow et
al. 2013). Both sides of `avalanche_check` import this module, so it needs torch, numpy and
scikit-learn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TASKS, CLASSES, SIDE, WIDTH = 5, 10, 8, 100
BATCH, RATE = 32, 3e-3
DECAY, TEMPERATURE, PER_CLASS = 0.95, 2.0, 10
TRAIN = 512
"""Number of training images; the other 1,285 images are for testing."""


@dataclass(frozen=True, eq=False)
class DigitTask:
    """One task: (N, 64) uint8 images, of which the first `TRAIN` are for training.

    Attributes:
        images: the images.
        labels: (N,) int64 digits.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One run of a method over the five tasks.

    Attributes:
        method: name of the method.
        strength: weight of the penalty, as the library defines it; 0 for a method without one.
        seed: seed for weights and batches.
        epochs: number of passes over a task's images.
        details: options of one library.
    """

    method: str
    strength: float
    seed: int
    epochs: int
    details: dict[str, Any] = field(default_factory=dict)


def make_tasks(seed: int) -> list[DigitTask]:
    """Return the tasks; the seed decides the splits and the orders of the pixels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.data * 15).astype(np.uint8)  # 0..16 -> 0..240
    labels = digits.target.astype(np.int64)
    random = np.random.default_rng([seed, 11])
    tasks = []
    for index in range(TASKS):
        order = np.arange(SIDE**2) if index == 0 else random.permutation(SIDE**2)
        rows = random.permutation(len(labels))
        tasks.append(DigitTask(pixels[rows][:, order], labels[rows]))
    return tasks


class DigitNet(nn.Module):
    """Two hidden layers of 100 units: (N, 64) or (N, 3, 8, 8) images in [0, 1] -> (N, 100)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(SIDE**2, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, 100) latents; of colour images the first channel is used."""
        flat = images[:, 0].flatten(1) if images.dim() == 4 else images
        return torch.relu(self.second(torch.relu(self.first(flat))))


def mean_accuracy(
    answer: Callable[[int, np.ndarray], np.ndarray], tasks: Sequence[DigitTask]
) -> float:
    """Return the mean accuracy on test images; `answer` maps (task, images) to classes."""
    right = [
        np.mean(answer(index, task.images[TRAIN:]) == task.labels[TRAIN:])
        for index, task in enumerate(tasks)
    ]
    return float(np.mean(right))
