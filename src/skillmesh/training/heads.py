"""Linear heads trained on latents, the paper's way.

Adam with learning rate 1e-3, batches of 32, at most 100 epochs, stop after 10 epochs without a
gain (the authors' code) - on *validation* images (the authors' code looks at test images). The
backbone is not touched: latents are computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skillmesh.model.head import Head

LEARNING_RATE = 1e-3
BATCH_SIZE = 32
MAX_EPOCHS = 100
PATIENCE = 10
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head and how it came about.

    Attributes:
        head: of the best epoch.
        epochs: epochs that were run.
        best_epoch: the one that was kept, from 1 on.
        accuracy: on the validation images at that epoch; None without validation images.
        macs: multiply-accumulates of the matrix products.
    """

    head: Head
    epochs: int
    best_epoch: int
    accuracy: float | None
    macs: int


class _Adam:
    """Adam (Kingma and Ba 2015) on one tensor, as torch.optim.Adam with its defaults."""

    def __init__(self, parameter: torch.Tensor) -> None:
        self.parameter = parameter
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = 0

    def step(self, gradient: torch.Tensor) -> None:
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _BETA_1)
        self.square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        correction_1 = 1 - _BETA_1**self.steps
        correction_2 = 1 - _BETA_2**self.steps
        scale = (self.square.sqrt() / correction_2**0.5).add_(_EPSILON)
        self.parameter.addcdiv_(self.mean, scale, value=-LEARNING_RATE / correction_1)


def fit_head(
    latents: np.ndarray,
    labels: np.ndarray,
    validation_latents: np.ndarray,
    validation_labels: np.ndarray,
    n_classes: int,
    *,
    seed: int = 0,
    max_epochs: int = MAX_EPOCHS,
) -> FittedHead:
    """Train the head of one task by softmax regression.

    The gradient of the cross-entropy is written out: for a single linear layer that is three
    products, and several times faster than automatic differentiation of small batches.

    Args:
        latents: (N, D) float32 of the training images.
        labels: (N,) int64.
        validation_latents: (V, D); V may be 0, then the training loss decides.
        validation_labels: (V,).
        n_classes: C.
        seed: of the start and of the order of batches.
        max_epochs: at most.
    """
    x, y = torch.from_numpy(np.ascontiguousarray(latents)), torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(seed)
    bound = 1 / x.shape[1] ** 0.5
    weight = (torch.rand(n_classes, x.shape[1], generator=generator) * 2 - 1) * bound
    bias = (torch.rand(n_classes, generator=generator) * 2 - 1) * bound
    optimizers = _Adam(weight), _Adam(bias)
    best: tuple[float, int, torch.Tensor, torch.Tensor] = (-np.inf, 0, weight, bias)
    epoch = 0
    for epoch in range(1, max_epochs + 1):
        loss = _epoch(x, y, weight, bias, optimizers, generator)
        score = -loss
        if len(validation_labels):
            score = _accuracy(weight, bias, validation_latents, validation_labels)
        if score > best[0]:
            best = (score, epoch, weight.clone(), bias.clone())
        elif epoch - best[1] >= PATIENCE:
            break
    product = x.shape[1] * n_classes
    return FittedHead(
        Head(best[2].numpy(), best[3].numpy()),
        epoch,
        best[1],
        best[0] if len(validation_labels) else None,
        epoch * product * (2 * len(labels) + len(validation_labels)),
    )


def _epoch(
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    optimizers: tuple[_Adam, _Adam],
    generator: torch.Generator,
) -> float:
    """One pass in random order; the mean cross-entropy in nats."""
    total = 0.0
    for rows in torch.randperm(len(y), generator=generator).split(BATCH_SIZE):
        images, labels = x[rows], y[rows]
        log_odds = torch.addmm(bias, images, weight.T).log_softmax(1)  # (B, C)
        total -= float(log_odds.gather(1, labels[:, None]).sum())
        error = log_odds.exp()
        error[torch.arange(len(rows)), labels] -= 1
        error /= len(rows)
        optimizers[0].step(error.T @ images)
        optimizers[1].step(error.sum(0))
    return total / len(y)


def _accuracy(
    weight: torch.Tensor, bias: torch.Tensor, latents: np.ndarray, labels: np.ndarray
) -> float:
    answers = torch.addmm(bias, torch.from_numpy(latents), weight.T).argmax(1).numpy()
    return float(np.mean(answers == labels))
