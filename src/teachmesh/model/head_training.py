"""Linear heads trained on latents, the paper's way.

Adam with learning rate 1e-3, batches of 32, at most 100 epochs, stop after 10 epochs without a
gain (the authors' code) - on *validation* images (the authors' code looks at test images). The
backbone is not touched: latents are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from teachmesh.model.adam import Adam
from teachmesh.model.head import Head

BATCH_SIZE = 32
MAX_EPOCHS = 100
PATIENCE = 10
LEARNING_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class HeadStart:
    """Rows of old heads that some classes of a new one start from (paper, Sec. 7.2, 2).

    Attributes:
        classes: (M,) int64 classes of the new task, each once.
        weight: (M, D) float32 rows of old heads.
        bias: (M,) float32.
    """

    classes: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


class PlainRows:
    """Use the parameters of a head as its rows.

    A subclass can constrain the rows while they are trained.
    """

    def of(self, parameter: torch.Tensor) -> torch.Tensor:
        """Return the rows (C, D + 1) of the head for its parameters (C, D + 1)."""
        return parameter

    def gradient(self, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - for subclasses
        """Return the gradient (C, D + 1) of the parameters, given that of the rows."""
        return gradient


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head and how it came about.

    Attributes:
        head: of the best epoch.
        epochs: epochs that were run.
        best_epoch: the one that was kept, from 1 on; the first of several equally good ones.
        accuracy: on the validation images at that epoch; None without validation images.
        macs: multiply-accumulates of the matrix products.
        warnings: a remark if there were no validation images to choose the epoch by.
    """

    head: Head
    epochs: int
    best_epoch: int
    accuracy: float | None
    macs: int
    warnings: tuple[str, ...] = ()


def fit_head(
    latents: np.ndarray,
    labels: np.ndarray,
    validation_latents: np.ndarray,
    validation_labels: np.ndarray,
    n_classes: int,
    *,
    seed: int = 0,
    max_epochs: int = MAX_EPOCHS,
    start: HeadStart | None = None,
    rows: PlainRows | None = None,
) -> FittedHead:
    """Train the head of one task by softmax regression, and keep its best epoch.

    Args:
        latents: (N, D) float32 of the training images.
        labels: (N,) int64.
        validation_latents: (V, D); V may be 0, then the training loss decides.
        validation_labels: (V,).
        n_classes: C.
        seed: of the start and of the order of batches.
        max_epochs: at most.
        start: rows that some classes start from; the others start as without it.
        rows: how parameters become the rows of the head; default as they are.
    """
    validation = _with_ones(validation_latents)
    epochs = head_epochs(latents, labels, n_classes, seed=seed, start=start, rows=rows)
    best_score, best_epoch, best = -np.inf, 0, next(epochs)[1]
    epoch = 0
    for epoch, (loss, current) in enumerate(islice(epochs, max_epochs), 1):
        score = -loss
        if len(validation_labels):
            answers = (validation @ current.T).argmax(1).numpy()
            score = float(np.mean(answers == validation_labels))
        if score > best_score:
            best_score, best_epoch, best = score, epoch, current
        if epoch - best_epoch >= PATIENCE:
            break
    chosen_blindly = not len(validation_labels)
    product = latents.shape[1] * n_classes
    return FittedHead(
        head_of(best),
        epoch,
        best_epoch,
        None if chosen_blindly else best_score,
        epoch * product * (2 * len(labels) + len(validation_labels)),
        ("no validation images: the training loss chose the head's epoch",)
        if chosen_blindly
        else (),
    )


def head_epochs(
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    seed: int = 0,
    start: HeadStart | None = None,
    rows: PlainRows | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """Train a head for ever: what it is before the first epoch, then after each.

    The gradient of the cross-entropy is written out: for a single linear layer that is two
    products, and several times faster than automatic differentiation of small batches.

    Args:
        latents: (N, D) float32 of the training images.
        labels: (N,) int64.
        n_classes: C.
        seed: of the start and of the order of batches.
        start: rows that some classes start from; the others start as without it.
        rows: how parameters become the rows of the head; default as they are.

    Yields:
        The mean cross-entropy of the epoch in nats (infinite before the first), and the (C, D + 1)
        weights and biases, see `head_of`.
    """
    x = _with_ones(latents)
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), n_classes).float()  # (N, C)
    generator = torch.Generator().manual_seed(seed)
    parameter = _start(n_classes, latents.shape[1], generator)
    if start is not None:
        old = np.concatenate([start.weight, start.bias[:, None]], axis=1).astype(np.float32)
        parameter[torch.from_numpy(start.classes)] = torch.from_numpy(old)
    optimizer, rows = Adam(parameter), rows or PlainRows()
    loss = np.inf
    while True:
        yield loss, rows.of(parameter).clone()
        loss = _epoch(x, targets, optimizer, rows, generator)


def head_of(rows: torch.Tensor) -> Head:
    """A head out of (C, D + 1) weights and biases."""
    return Head(rows[:, :-1].contiguous().numpy(), rows[:, -1].contiguous().numpy())


def most_macs(n: int, n_validation: int, dim: int, n_classes: int) -> int:
    """What `fit_head` counts at most, for so many images of each split, latents and classes."""
    return MAX_EPOCHS * dim * n_classes * (2 * n + n_validation)


def _with_ones(latents: np.ndarray) -> torch.Tensor:
    """(N, D + 1): the last column multiplies the bias, so weight and bias are one parameter."""
    rows = torch.from_numpy(np.ascontiguousarray(latents, dtype=np.float32))
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def _start(n_classes: int, dim: int, generator: torch.Generator) -> torch.Tensor:
    """(C, D + 1) weights and bias, uniform as in torch.nn.Linear."""
    bound = 1 / dim**0.5
    return torch.rand(n_classes, dim + 1, generator=generator).mul_(2).sub_(1).mul_(bound)


def _epoch(
    x: torch.Tensor,
    targets: torch.Tensor,
    optimizer: Adam,
    rows: PlainRows,
    generator: torch.Generator,
) -> float:
    """One pass in random order; the mean cross-entropy in nats."""
    order = torch.randperm(len(x), generator=generator)
    total = 0.0
    batches = torch.split(x[order], BATCH_SIZE), torch.split(targets[order], BATCH_SIZE)
    for images, truth in zip(*batches, strict=True):
        log_odds = torch.log_softmax(images @ rows.of(optimizer.parameter).T, 1)  # (B, C)
        total -= float(log_odds.flatten().dot(truth.flatten()))
        error = log_odds.exp_().sub_(truth).div_(len(images))
        gradient = rows.gradient(optimizer.parameter, error.T @ images)
        optimizer.step(gradient, LEARNING_RATE)
    return total / len(x)
