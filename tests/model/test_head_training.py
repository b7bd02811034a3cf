"""Training of heads, checked against torch's optimizer and automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
import torch

from teachmesh.model import head_training as heads
from teachmesh.model.head_training import (
    BATCH_SIZE,
    LEARNING_RATE,
    PATIENCE,
    HeadStart,
    fit_head,
    head_epochs,
    head_of,
)
from tests.mapping.latents import make_sample

SAMPLE = make_sample(0, n_classes=4, per_class=30)
TRAIN = (SAMPLE.latents[:80], SAMPLE.labels[:80])
VALIDATION = (SAMPLE.latents[80:], SAMPLE.labels[80:])
NOTHING = (SAMPLE.latents[:0], SAMPLE.labels[:0])


Parameters = tuple[np.ndarray, np.ndarray]


def reference_epochs(
    seed: int, rows_of: Callable[[torch.Tensor], torch.Tensor] = lambda weight: weight
) -> Iterator[Parameters]:
    """Train torch.nn.Linear by torch.optim.Adam and autograd with equal start and batches.

    Args:
        seed: seed for the start and the order of batches.
        rows_of: the weights as the forward pass uses them; autograd goes through it.

    Yields:
        Weights and biases after each epoch, without end.
    """
    x, y = torch.from_numpy(TRAIN[0]), torch.from_numpy(TRAIN[1])
    generator = torch.Generator().manual_seed(seed)
    start = heads._start(4, x.shape[1], generator)
    layer = torch.nn.Linear(x.shape[1], 4)
    with torch.no_grad():
        layer.weight.copy_(start[:, :-1])
        layer.bias.copy_(start[:, -1])
    optimizer = torch.optim.Adam(layer.parameters(), lr=LEARNING_RATE)
    while True:
        for rows in torch.randperm(len(y), generator=generator).split(BATCH_SIZE):
            optimizer.zero_grad()
            log_odds = x[rows] @ rows_of(layer.weight).T + layer.bias
            torch.nn.functional.cross_entropy(log_odds, y[rows]).backward()
            optimizer.step()
        yield rows_of(layer.weight).detach().numpy().copy(), layer.bias.detach().numpy().copy()


def reference_parameters(
    epochs: int, seed: int, rows_of: Callable[[torch.Tensor], torch.Tensor] = lambda weight: weight
) -> Parameters:
    """Return weights and biases after some epochs of `reference_epochs`."""
    return next(islice(reference_epochs(seed, rows_of), epochs - 1, None))


def test_training_equals_adam_with_automatic_differentiation() -> None:
    """Weights are equal after 20 epochs, up to rounding."""
    fitted = fit_head(*TRAIN, *NOTHING, 4, seed=3, max_epochs=20)
    weight, bias = reference_parameters(fitted.best_epoch, seed=3)
    assert fitted.best_epoch == 20
    np.testing.assert_allclose(fitted.head.weight, weight, atol=1e-5)
    np.testing.assert_allclose(fitted.head.bias, bias, atol=1e-5)


def test_epochs_begin_with_the_start_and_continue_as_in_training() -> None:
    """Old rows are unchanged before the first epoch; the third equals a training of three."""
    old = np.ones((1, 24), np.float32), np.full(1, 2, np.float32)
    start = HeadStart(np.array([1]), *old)
    epochs = head_epochs(*TRAIN, 4, seed=3, start=start)
    loss, begun = next(epochs)
    assert loss == np.inf
    assert (begun[1].numpy() == np.append(*old)).all()
    third = [rows for _, rows in islice(epochs, 3)][-1]
    fitted = fit_head(*TRAIN, *NOTHING, 4, seed=3, max_epochs=3, start=start)
    assert fitted.best_epoch == 3
    assert (head_of(third).weight == fitted.head.weight).all()


def test_the_first_best_validation_epoch_is_kept() -> None:
    """Training stops 10 epochs later and returns the weights of the best epoch."""
    fitted = fit_head(*TRAIN, *VALIDATION, 4, seed=1)
    assert fitted.epochs == fitted.best_epoch + PATIENCE
    accuracies = []
    for weight, bias in islice(reference_epochs(seed=1), fitted.epochs):
        answers = (VALIDATION[0] @ weight.T + bias).argmax(axis=1)
        accuracies.append(np.mean(answers == VALIDATION[1]))
    assert fitted.best_epoch == 1 + int(np.argmax(accuracies))
    assert fitted.accuracy == pytest.approx(max(accuracies))
    answers = fitted.head.logits(VALIDATION[0]).argmax(axis=1)
    assert np.mean(answers == VALIDATION[1]) == pytest.approx(fitted.accuracy)


def test_the_same_seed_gives_the_same_bits() -> None:
    """Training is reproducible; the seed determines start and order."""
    one, two = (fit_head(*TRAIN, *VALIDATION, 4, seed=5).head for _ in range(2))
    other = fit_head(*TRAIN, *VALIDATION, 4, seed=6).head
    assert one.weight.tobytes() == two.weight.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()
    assert one.weight.tobytes() != other.weight.tobytes()


def test_without_validation_images_the_training_loss_chooses_with_a_warning() -> None:
    """There is no accuracy, and the card can store the warning."""
    fitted = fit_head(*TRAIN, *NOTHING, 4, max_epochs=5)
    assert fitted.accuracy is None
    assert fitted.epochs == 5
    assert "no validation images" in fitted.warnings[0]
    assert fit_head(*TRAIN, *VALIDATION, 4, max_epochs=2).warnings == ()


def test_training_never_exceeds_its_epochs_and_counts_its_products() -> None:
    """Training images cost forward and gradient, validation images cost forward."""
    fitted = fit_head(*TRAIN, *VALIDATION, 4, max_epochs=3)
    assert fitted.epochs == 3
    assert fitted.macs == 3 * 24 * 4 * (2 * 80 + 40)


def test_the_arguments_are_left_alone() -> None:
    """The caller may share latents with its cache."""
    before = TRAIN[0].copy(), VALIDATION[0].copy()
    fit_head(*TRAIN, *VALIDATION, 4, max_epochs=2)
    assert (TRAIN[0] == before[0]).all()
    assert (VALIDATION[0] == before[1]).all()
