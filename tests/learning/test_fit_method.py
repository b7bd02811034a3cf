"""Fitting one task: each anchor is the one of its method, and accuracies are those of answers."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.errors import DataError
from teachmesh.learning.fit_method import count_images, fit_method, log_within
from teachmesh.learning.fit_statistics import fit_statistics
from teachmesh.learning.split_latents import statistics_of
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.maha import fit_maha
from teachmesh.mapping.mapper import nearest_mean_familiarity
from teachmesh.mapping.metric import Metric, ReferenceLatents, fit_metric
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.model.head_training import fit_head
from teachmesh.model.macs import MacCounter

CLASSES, DIM, LAST = 3, 16, 8


def images(count: int, seed: int) -> LabelledLatents:
    """Latents of classes that overlap a little."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    centres = np.random.default_rng(9).standard_normal((CLASSES, DIM))
    latents = (centres[labels] + random.standard_normal((count, DIM))).astype(np.float32)
    latents /= 8  # as short as projections
    return LabelledLatents(Latents(latents[:, :LAST], latents), labels)


@pytest.fixture(scope="module")
def metric() -> Metric:
    """A metric of random latents."""
    reference = np.random.default_rng(8).standard_normal((4 * DIM, DIM)).astype(np.float32) / 8
    return fit_metric(ReferenceLatents(reference, None, None))


@pytest.mark.parametrize("method", ["moments", "gmmc", "maha"])
def test_the_validation_accuracy_is_that_of_the_methods_own_answers(
    method: str, metric: Metric
) -> None:
    """Also if the skill has the anchors of the other methods, too."""
    train, validation = images(60, 0), images(45, 1)
    others = [kind for kind in ("moments", "gmmc", "maha") if kind != method]
    fitted = fit_method(method, train, validation, CLASSES, metric, also=others)
    assert {kind: anchor.kind for kind, anchor in fitted.anchors.items()} == {
        kind: kind for kind in ("gmmc", "maha", "moments")
    }
    answers = log_within(fitted, method, validation.latents, metric)
    assert np.exp(answers).sum(axis=1) == pytest.approx(1.0)
    right = float(np.mean(answers.argmax(axis=1) == validation.labels))
    assert fitted.validation_accuracy == pytest.approx(right)
    assert (right > 0.5) == (method == "moments")  # few images teach a head little


def test_moments_alone_have_no_head_and_cost_what_their_statistics_cost(metric: Metric) -> None:
    """The same anchor comes with and without other methods."""
    train, validation = images(60, 0), images(45, 1)
    alone = fit_method("moments", train, validation, CLASSES, metric)
    joined = fit_method("moments", train, validation, CLASSES, metric, also=["gmmc"])
    assert alone.head is None
    assert joined.head is not None
    assert isinstance(alone.anchors["moments"], MomentsAnchor)
    for name, array in alone.anchors["moments"].tensors().items():
        assert np.array_equal(array, joined.anchors["moments"].tensors()[name])
    assert 0 < alone.cost_macs < joined.cost_macs


def test_the_fitted_images_are_those_of_class_moments(metric: Metric) -> None:
    """Other methods have none. The counted products are those that were computed."""
    train, validation = images(60, 0), images(45, 1)
    task = fit_method("moments", train, validation, CLASSES, metric).fitted_task
    assert task is not None
    assert task.counts.tolist() == [20, 20, 20]
    assert task.n_validation == 45
    assert fit_method("maha", train, validation, CLASSES, metric).fitted_task is None
    with MacCounter() as counter:
        found = fit_statistics(statistics_of(train, validation, CLASSES), metric)
    assert found.macs == counter.macs


def test_the_cost_of_a_trained_head_is_added_to_that_of_the_anchor(metric: Metric) -> None:
    """Anchor, scores of held-out images and head are counted once each."""
    train, validation = images(60, 0), images(45, 1)
    fitted = fit_method("maha", train, validation, CLASSES, metric)
    with MacCounter() as counter:
        anchor = fit_maha(train.latents.last, train.labels, CLASSES)
        nearest_mean_familiarity(validation.latents.last, anchor.means)
    rows = train.latents.last, train.labels, validation.latents.last, validation.labels
    assert fitted.cost_macs == counter.macs + fit_head(*rows, CLASSES).macs


def test_classes_without_images_are_counted() -> None:
    """The message has their number."""
    assert count_images(np.array([1, 0, 1]), 2).tolist() == [1, 2]
    with pytest.raises(DataError, match="found none for 2 of 4"):
        count_images(np.array([3, 0]), 4)
