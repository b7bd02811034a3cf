"""The refit of the head in closed form: its mean with the trained head, and its cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from teachmesh.biases.bias_head import CLOSED_SHARE, SeenLatents, TapLatents, mean_head, refit_macs
from teachmesh.biases.bias_plan import BiasPlan
from teachmesh.biases.bias_training import BiasTrainer
from teachmesh.mapping.moments_fit import HEAD_TEMPERATURE
from teachmesh.mapping.ridge import RIDGE
from teachmesh.model.head import Head
from tests.biases.bias_samples import N_CLASSES, biased, tiny_backbone, training_rows


def cloud(n: int, dim: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw latents (n, dim) around class means, and labels; every class occurs."""
    generator = np.random.default_rng(5)
    labels = np.arange(n) % n_classes
    means = generator.normal(0, 1, (n_classes, dim))
    return (means[labels] + generator.normal(0, 1, (n, dim))).astype(np.float32), labels


def seen_all(latents: np.ndarray) -> SeenLatents:
    """Store the latents of every image, in another order than the rows."""
    seen = SeenLatents()
    order = np.random.default_rng(1).permutation(len(latents))
    for rows in np.array_split(order, 4):
        seen.keep(rows, torch.from_numpy(latents[rows]))
    return seen


def test_the_head_is_the_mean_of_the_trained_one_and_of_class_balanced_ridge_regression() -> None:
    """The oracle solves the normal equations with a column for the bias."""
    latents, labels = cloud(60, 6, 3)
    trained = Head(np.ones((3, 6), dtype=np.float32), np.arange(3, dtype=np.float32))
    found, _ = mean_head(trained, seen_all(latents), labels)
    share = (1 / (3 * np.bincount(labels)))[labels]
    x, y = latents.astype(np.float64), np.eye(3)[labels]
    centre, rates = share @ x, share @ y
    scaled = (x - centre) * np.sqrt(share)[:, None]
    penalty = RIDGE * np.trace(scaled @ scaled.T) / len(x) + 1e-12
    gram = scaled.T @ scaled + penalty * np.eye(6)
    weight = np.linalg.solve(gram, scaled.T @ ((y - rates) * np.sqrt(share)[:, None])).T
    bias = rates - weight @ centre
    for got, closed, other in (
        (found.weight, weight, trained.weight),
        (found.bias, bias, trained.bias),
    ):
        mean = CLOSED_SHARE * closed / HEAD_TEMPERATURE + (1 - CLOSED_SHARE) * other
        np.testing.assert_allclose(got, mean, atol=1e-5)


def test_only_the_last_latents_of_an_image_count() -> None:
    """Earlier latents, with other biases, are overwritten."""
    seen = SeenLatents()
    seen.keep(np.array([4, 1]), torch.tensor([[1.0], [2.0]]))
    seen.keep(np.array([1]), torch.tensor([[3.0]]))
    rows, latents = seen.arrays()
    assert rows.tolist() == [1, 4]
    assert latents.ravel().tolist() == [3.0, 1.0]
    assert len(seen) == 2


@pytest.mark.parametrize("rows", [[], [0, 1, 3, 4]])
def test_a_class_that_was_not_seen_leaves_the_trained_head(rows: list[int]) -> None:
    """Every third image belongs to class 2."""
    latents, labels = cloud(9, 4, 3)
    seen = SeenLatents()
    seen.keep(np.array(rows, dtype=np.int64), torch.from_numpy(latents[rows]))
    trained = Head(np.ones((3, 4), dtype=np.float32), np.zeros(3, dtype=np.float32))
    found, macs = mean_head(trained, seen, labels)
    assert found is trained
    assert macs == 0


@pytest.mark.parametrize("n", [12, 40, 90])
def test_the_plan_reserves_the_cost_of_the_fit(n: int) -> None:
    """This holds with fewer images than dimensions, and with more."""
    latents, labels = cloud(n, 40, 5)
    trained = Head(np.zeros((5, 40), dtype=np.float32), np.zeros(5, dtype=np.float32))
    _, macs = mean_head(trained, seen_all(latents), labels)
    assert 0 < macs <= refit_macs(n, 40, 5)


@pytest.mark.parametrize("refit", [True, False])
def test_training_returns_the_latents_of_its_last_steps(refit: bool) -> None:
    """At rates of zero they are the latents without biases, one per image."""
    bb = biased(tiny_backbone())
    reads = TapLatents("last", tiny_backbone().reference, bb.device)
    plan = dataclasses.replace(
        BiasPlan("all", images=60, patience=None, batch_size=16, refit=refit),
        bias_rate=0.0,
        head_rate=0.0,
    )
    rows = training_rows(bb, 40)
    head = Head(np.ones((N_CLASSES, 7), dtype=np.float32), np.zeros(N_CLASSES, dtype=np.float32))
    found = BiasTrainer(bb, reads.smooth, head, plan).train(rows, rows).seen
    if not refit:
        assert len(found) == 0
        return
    which, latents = found.arrays()
    assert which.tolist() == list(range(40))
    with torch.no_grad():
        plain = reads.smooth(bb.suffix(rows.kept.rows(which), None))
    np.testing.assert_allclose(latents, plain.numpy(), atol=1e-5)
