"""Train the linear head of a task on latents, as in the paper.

The optimizer is Adam with learning rate 1e-3, batches of 32 and at most 100 epochs. Training stops
after 10 epochs without a gain on *validation* images (the authors' code uses test images). The
latents are computed beforehand, so the backbone does not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from teachmesh.model.head import Head

BATCH_SIZE = 32
MAX_EPOCHS = 100
PATIENCE = 10
LEARNING_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class HeadStart:
    """Rows of old heads that initialise some classes of a new head (paper, Sec. 7.2, item 2).

    Attributes:
        classes: (M,) int64 array of distinct class indices in the new task.
        weight: (M, D) float32 weights from old heads.
        bias: (M,) float32 biases from old heads.
    """

    classes: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


class PlainRows:
    """The default mapping from trained parameters to the rows of a head: the identity.

    A subclass can constrain the rows during training.
    """

    def of(self, parameter: torch.Tensor) -> torch.Tensor:
        """Return the head's rows (C, D + 1), computed from its parameters (C, D + 1)."""
        return parameter

    def gradient(
        self,
        parameter: torch.Tensor,  # noqa: ARG002 - for subclasses
        gradient: torch.Tensor,
    ) -> torch.Tensor:
        """Convert the gradient (C, D + 1) of the rows into the gradient of the parameters."""
        return gradient


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A trained head and the record of its training.

    Attributes:
        head: head of the best epoch.
        epochs: number of epochs run.
        best_epoch: number of the best epoch, counted from 1; the first if several are equally good.
        accuracy: validation accuracy at the best epoch; None if there are no validation images.
        macs: number of multiply-accumulates in the matrix products.
        warnings: a warning if no validation images were available to choose the epoch.
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
        latents: (N, D) float32 latents of the training images.
        labels: (N,) int64 class indices.
        validation_latents: (V, D) latents; if V is 0, the epoch is chosen by the training loss.
        validation_labels: (V,) class indices.
        n_classes: number of classes, C.
        seed: seed for the initial weights and the order of batches.
        max_epochs: maximum number of epochs.
        start: initial rows of some classes; the other classes start at random.
        rows: mapping from parameters to the rows of the head; the identity by default.
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
    """Train a head endlessly; yield it before the first epoch and after every epoch.

    The gradient of the cross-entropy is computed from its formula, with two matrix products per
    batch. On small batches this is several times faster than automatic differentiation.

    Args:
        latents: (N, D) float32 latents of the training images.
        labels: (N,) int64 class indices.
        n_classes: number of classes, C.
        seed: seed for the initial weights and the order of batches.
        start: initial rows of some classes; the other classes start at random.
        rows: mapping from parameters to the rows of the head; the identity by default.

    Yields:
        The mean cross-entropy of the epoch in nats (infinite before the first epoch), and the
        (C, D + 1) weights and biases; `head_of` turns these into a head.
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
    """Build a head from weights and biases (C, D + 1)."""
    return Head(rows[:, :-1].contiguous().numpy(), rows[:, -1].contiguous().numpy())


def most_macs(n: int, n_validation: int, dim: int, n_classes: int) -> int:
    """Return an upper bound on the multiply-accumulates that `fit_head` counts."""
    return MAX_EPOCHS * dim * n_classes * (2 * n + n_validation)


def _with_ones(latents: np.ndarray) -> torch.Tensor:
    """Append a column of ones for the bias, so that weight and bias are one tensor (C, D + 1)."""
    rows = torch.from_numpy(np.ascontiguousarray(latents, dtype=np.float32))
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def _start(n_classes: int, dim: int, generator: torch.Generator) -> torch.Tensor:
    """Draw initial weights and biases (C, D + 1), uniform as in torch.nn.Linear."""
    bound = 1 / dim**0.5
    return torch.rand(n_classes, dim + 1, generator=generator).mul_(2).sub_(1).mul_(bound)


def _epoch(
    x: torch.Tensor,
    targets: torch.Tensor,
    optimizer: Adam,
    rows: PlainRows,
    generator: torch.Generator,
) -> float:
    """Train one epoch in random order; return the mean cross-entropy in nats."""
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


_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam optimizer for one tensor.

    Args:
        parameter: tensor to update in place.
        divide: True to divide the mean squares by their bias correction, as torch does; False to
            multiply by its inverse. The results differ in the last bits. Skills use False and
            baselines use True, so that both remain byte-identical to earlier versions.
    """

    def __init__(self, parameter: torch.Tensor, *, divide: bool = False) -> None:
        self.parameter, self._divide = parameter, divide
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: torch.Tensor, rate: float) -> None:
        """Take one step against the gradient.

        Args:
            gradient: gradient of the loss, shaped like the parameter.
            rate: learning rate of this step.
        """
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _BETA_1)
        self.square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        correction_1 = 1 - _BETA_1**self.steps
        correction_2 = 1 - _BETA_2**self.steps
        root = self.square.sqrt()
        root = root.div_(correction_2**0.5) if self._divide else root.mul_(correction_2**-0.5)
        self.parameter.addcdiv_(self.mean, root.add_(_EPSILON), value=-rate / correction_1)
