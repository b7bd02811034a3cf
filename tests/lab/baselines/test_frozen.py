"""Laws of all closed forms; NCM, SLDA and RanPAC against slow, obvious formulas."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from teachmesh.model.macs import count_macs
from teachmesh_lab.baselines.closed_forms import CLOSED_FORMS, choose_frozen
from teachmesh_lab.baselines.fecam import FeCam
from teachmesh_lab.baselines.frozen import (
    FrozenBaseline,
    IndependentBaseline,
    learn_latents,
    run_latents,
    try_latents,
)
from teachmesh_lab.baselines.gaussian_heads import LdaHead, NaiveBayesHead, QdaHead
from teachmesh_lab.baselines.image_stream import LatentTask
from teachmesh_lab.baselines.layup import LayUp
from teachmesh_lab.baselines.lr_rgda import LowRankDiscriminant
from teachmesh_lab.baselines.ncm import NearestClassMean
from teachmesh_lab.baselines.ranpac import RanPac
from teachmesh_lab.baselines.slda import StreamingLda
from tests.lab.baselines.sample_streams import make_latent_stream

STREAM = make_latent_stream()
DIM = 12
HYPER = {
    NearestClassMean: {},
    StreamingLda: {"shrinkage": 0.01},
    RanPac: {"ridge": 0.01, "projections": 40.0},
    LayUp: {"ridge": 0.01},
    FeCam: {"power": 0.5, "shrinkage": 3.0},
    LowRankDiscriminant: {"rank": 5.0, "shared": 0.7, "identity": 0.1},
    NaiveBayesHead: {"floor": 0.01},
    LdaHead: {"shrinkage": 0.05},
    QdaHead: {"shrinkage": 0.3},
}
KINDS = list(HYPER)


def learned(kind: type[FrozenBaseline], order: tuple[int, ...] = (0, 1, 2)) -> FrozenBaseline:
    """Make a baseline that has learned the stream's tasks in some order."""
    baseline = kind(DIM, HYPER[kind], 0)
    for index in order:
        task = STREAM[index]
        baseline.learn(index, task.train.latents, task.train.labels, len(task.classes))
    baseline.consolidate()
    return baseline


def pooled(stream: list[LatentTask]) -> tuple[np.ndarray, np.ndarray]:
    """Return all training latents in float64, with classes numbered across all tasks."""
    starts = np.cumsum([0, *(len(task.classes) for task in stream)])
    latents = np.concatenate([task.train.latents for task in stream]).astype(np.float64)
    labels = [task.train.labels + start for task, start in zip(stream, starts, strict=False)]
    return latents, np.concatenate(labels)


QUESTIONS = np.concatenate([task.test.latents for task in STREAM])


def test_ncm_scores_are_cosines_with_class_means() -> None:
    """Oracle: a loop over images and classes."""
    latents, labels = pooled(STREAM)
    means = [latents[labels == c].mean(axis=0) for c in range(8)]
    expected = [
        [x @ m / (np.linalg.norm(x) * np.linalg.norm(m)) for m in means]
        for x in QUESTIONS.astype(np.float64)
    ]
    found = learned(NearestClassMean).scores(QUESTIONS)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_slda_is_the_discriminant_of_the_shrunk_pooled_covariance() -> None:
    """Oracle: a loop over images for the covariance, and its inverse."""
    latents, labels = pooled(STREAM)
    means = np.stack([latents[labels == c].mean(axis=0) for c in range(8)])
    covariance = np.zeros((DIM, DIM))
    for x, label in zip(latents, labels, strict=True):
        covariance += np.outer(x - means[label], x - means[label]) / len(labels)
    precision = np.linalg.inv(0.99 * covariance + 0.01 * np.diag(covariance).mean() * np.eye(DIM))
    expected = [[x @ precision @ m - 0.5 * m @ precision @ m for m in means] for x in QUESTIONS]
    np.testing.assert_allclose(learned(StreamingLda).scores(QUESTIONS), expected, rtol=1e-8)


def test_slda_answers_as_scikit_learns_discriminant_analysis() -> None:
    """Oracle: scikit-learn's classifier on all latents at once, with equal priors."""
    latents, labels = pooled(STREAM)
    priors = np.full(8, 1 / 8)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=priors).fit(latents, labels)
    ours = StreamingLda(DIM, {"shrinkage": 0.0}, 0)
    for index, task in enumerate(STREAM):
        ours.learn(index, task.train.latents, task.train.labels, len(task.classes))
    ours.consolidate()
    found = ours.scores(QUESTIONS).argmax(1)
    assert (found == theirs.predict(QUESTIONS.astype(np.float64))).mean() > 0.97


def test_ranpac_is_ridge_regression_on_rectified_random_projections() -> None:
    """Oracle: the closed form on all latents at once."""
    baseline = learned(RanPac)
    assert isinstance(baseline, RanPac)
    latents, labels = pooled(STREAM)
    projection = baseline.projection.numpy().astype(np.float64)
    lifted = np.maximum(latents @ projection, 0)
    gram = lifted.T @ lifted
    ridge = 0.01 * np.diag(gram).mean() * np.eye(40)
    weights = np.linalg.inv(gram + ridge) @ lifted.T @ np.eye(8)[labels]
    expected = np.maximum(QUESTIONS.astype(np.float64) @ projection, 0) @ weights
    np.testing.assert_allclose(baseline.scores(QUESTIONS), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_arrival_gives_the_same_classifier(kind: type[FrozenBaseline]) -> None:
    """Sums over tasks change by rounding, with equal answers; the others are equal bit for bit."""
    one = learned(kind).scores(QUESTIONS)
    for order in ((2, 0, 1), (1, 2, 0)):
        two = learned(kind, order).scores(QUESTIONS)
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)
        assert (two.argmax(1) == one.argmax(1)).all()
        if issubclass(kind, IndependentBaseline):
            assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_right_far_above_chance_and_better_with_the_oracle(
    kind: type[FrozenBaseline],
) -> None:
    """There are eight Gaussian classes. A given task can only help to find the class."""
    trace = run_latents(kind(DIM, HYPER[kind], 0), STREAM)
    assert trace.test.last_mean("free") > 0.6
    assert trace.test.last_mean("oracle") >= trace.test.last_mean("free")
    assert trace.test.last_mean("mapper") >= trace.test.last_mean("free")
    assert np.isnan(trace.test.free[0, 1:]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_rows_of_the_matrix_do_not_depend_on_later_tasks(
    kind: type[FrozenBaseline],
) -> None:
    """A shorter stream gives equal rows."""
    whole = run_latents(kind(DIM, HYPER[kind], 0), STREAM)
    short = run_latents(kind(DIM, HYPER[kind], 0), STREAM[:2])
    for name in ("oracle", "free", "mapper"):
        cut = getattr(whole.test, name)[:2, :2]
        np.testing.assert_array_equal(getattr(short.test, name), cut)


def test_products_and_factorisations_are_counted() -> None:
    """Expected counts by hand, from N images, D dimensions, M projections and C classes."""
    sizes = [len(task.train) for task in STREAM]
    asked = [
        sum(len(task.test) + len(task.validation) for task in STREAM[: last + 1])
        for last in range(3)
    ]
    classes = [3, 5, 8]
    ncm = run_latents(NearestClassMean(DIM, {}, 0), STREAM).costs
    assert ncm.learn_macs == (0, 0, 0)
    assert ncm.test_macs == sum(n * DIM * c for n, c in zip(asked, classes, strict=True))
    slda = run_latents(StreamingLda(DIM, HYPER[StreamingLda], 0), STREAM).costs
    assert slda.learn_macs == tuple(n * DIM**2 for n in sizes)
    assert slda.consolidate_macs == DIM**3 // 6 + 8 * DIM**2
    ranpac = run_latents(RanPac(DIM, HYPER[RanPac], 0), STREAM).costs
    assert ranpac.learn_macs == tuple(n * (DIM * 40 + 40**2) for n in sizes)
    assert ranpac.consolidate_macs == 40**3 // 6 + 8 * 40**2
    each = zip(asked, classes, strict=True)
    assert ranpac.test_macs == sum(n * (DIM * 40 + 40 * c) for n, c in each)


def test_bytes_equal_the_size_of_the_statistics_in_float32() -> None:
    """Means; means and half a covariance; half a Gram matrix and class sums."""
    found = {kind: run_latents(kind(DIM, HYPER[kind], 0), STREAM).costs for kind in KINDS}
    assert found[NearestClassMean].hand_over_bytes == {"means": 4 * 8 * DIM}
    assert found[NearestClassMean].task_bytes == (4 * 3 * DIM, 4 * 2 * DIM, 4 * 3 * DIM)
    half = 4 * DIM * (DIM + 1) // 2
    assert found[StreamingLda].hand_over_bytes == {"means": 4 * 8 * DIM, "scatter": half}
    assert found[StreamingLda].task_bytes == tuple(half + 4 * c * DIM for c in (3, 2, 3))
    half = 4 * 40 * 41 // 2
    assert found[RanPac].hand_over_bytes == {"sums": 4 * 8 * 40, "gram": half}
    assert found[RanPac].task_bytes == tuple(half + 4 * c * 40 for c in (3, 2, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_has_the_validation_accuracy_of_a_run(kind: type[FrozenBaseline]) -> None:
    """A trial answers once, after the last task."""
    baseline = kind(DIM, HYPER[kind], 0)
    learned = learn_latents(baseline, STREAM)
    trial = try_latents(baseline, STREAM)
    trace = run_latents(kind(DIM, HYPER[kind], 0), STREAM)
    assert trial.accuracy == trace.validation.last_mean("free")
    assert 0 < trial.macs + learned < trace.costs.total_macs


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.late])
def test_learning_once_for_late_values_gives_the_same_accuracies(
    kind: type[FrozenBaseline],
) -> None:
    """Oracle: a new baseline for each candidate."""
    name = next(name for name, known in CLOSED_FORMS.items() if known is kind)
    given = {"projections": 40.0} if kind is RanPac else {}
    for values, accuracy in choose_frozen(name, STREAM, hyper=given).tried:
        baseline = kind(DIM, values, 0)
        learn_latents(baseline, STREAM)
        assert try_latents(baseline, STREAM).accuracy == accuracy


@pytest.mark.parametrize("kind", KINDS)
def test_remembered_scores_are_the_scores_of_all_tasks(kind: type[FrozenBaseline]) -> None:
    """Oracle: answers without memory, after every task, and their counted products."""
    trace = run_latents(kind(DIM, HYPER[kind], 0), STREAM)
    baseline, macs = kind(DIM, HYPER[kind], 0), 0
    for last, task in enumerate(STREAM):
        baseline.learn(last, task.train.latents, task.train.labels, len(task.classes))
        baseline.consolidate()
        for old in STREAM[: last + 1]:
            for split in (old.test, old.validation):
                macs += count_macs(partial(baseline.scores, split.latents))
    assert trace.costs.test_macs == macs
    best = np.concatenate([a.free for a in trace.answers.test if a.free is not None])
    starts = np.array([0, 3, 5])
    found = baseline.scores(QUESTIONS).argmax(1)
    assert (starts[best[:, 0]] + best[:, 1] == found).all()


def test_a_choice_learns_only_the_tasks_that_it_is_given() -> None:
    """The number of tasks is recorded, and more tasks cost more."""
    two, three = (choose_frozen("slda", STREAM[:n]) for n in (2, 3))
    assert (two.tasks, three.tasks) == (2, 3)
    assert two.macs < three.macs


def test_latents_without_variance_are_not_an_error() -> None:
    """Identical images cannot be classified, but scores stay finite."""
    for kind in KINDS:
        baseline = kind(DIM, HYPER[kind], 0)
        for index in range(2):
            labels = np.arange(4, dtype=np.int64) % 2
            baseline.learn(index, np.zeros((4, DIM), np.float32), labels, 2)
        baseline.consolidate()
        assert np.isfinite(baseline.scores(np.zeros((3, DIM), np.float32))).all()
