"""Settings of a pretraining run, saved with its results."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """One-cycle SGD over growing image sizes.

    Attributes:
        schedule: (side in pixels, number of epochs) pairs, in the order of training.
        batch_size: number of images per step.
        peak_rate: highest learning rate of the cycle.
        warmup: fraction of all steps before the learning rate peaks.
        momentum: Nesterov momentum of SGD.
        weight_decay: weight decay of convolution and linear weights.
        label_smoothing: label smoothing in the cross-entropy.
        average_decay: decay per step of the exponential moving average of the weights.
        distill_weight: weight of the divergence from the teacher in the loss; 0 without a teacher.
        temperature: softmax temperature of student and teacher.
        seed: seed of the initial weights, the order of the images and the augmentation.
        fraction: fraction of the training images to use.
        teacher_size: side of the teacher's input images in pixels; 0 without a teacher.
        parts: number of parts of a batch, each with its own batch statistics.
        start: SHA-256 of the initial weights if these are the averaged weights of another run; ""
            for random weights.
    """

    schedule: tuple[tuple[int, int], ...] = ((32, 7), (48, 5), (64, 4))
    batch_size: int = 128
    peak_rate: float = 0.2
    warmup: float = 0.25
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.05
    average_decay: float = 0.999
    distill_weight: float = 4.0
    temperature: float = 2.0
    seed: int = 0
    fraction: float = 1.0
    teacher_size: int = 0
    parts: int = 2
    start: str = ""

    def __post_init__(self) -> None:
        if self.batch_size % self.parts:
            raise ValueError(
                f"expected a batch that {self.parts} parts divide, got {self.batch_size} images"
            )

    @property
    def epochs(self) -> int:
        """Total number of passes over the training images."""
        return sum(count for _, count in self.schedule)

    def size_of(self, epoch: int) -> int:
        """Return the side in pixels of the images in an epoch."""
        for size, count in self.schedule:
            if epoch < count:
                return size
            epoch -= count
        raise IndexError("the schedule has no such epoch")

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step; it rises linearly, then falls like a cosine."""
        position = step / steps
        if position < self.warmup:
            return self.peak_rate * (step + 1) / (self.warmup * steps + 1)
        falling = (position - self.warmup) / (1 - self.warmup)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * falling))
