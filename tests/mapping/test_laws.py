"""Laws that hold for every kind of anchor and task mapper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from teachmesh.errors import ConfigError
from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import ANCHORS, METHODS, GmmcAnchor
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.gmmc import log_likelihood
from teachmesh.mapping.held_out_from_rows import held_out_scores
from teachmesh.mapping.mapper import MapperScores, TaskMapper
from teachmesh.mapping.own_mapper import PAPER_MAPPERS
from teachmesh.mapping.own_mapper import make_mapper as mapper_with
from teachmesh.mapping.typicality import HeldOut
from tests.mapping.latents import DIM, Sample, make_anchor, make_sample, sample_metric

every_kind = pytest.mark.parametrize("kind", METHODS)
KEYS = ("c3", "a1", "b2", "d4")
QUESTIONS = make_sample(99, n_classes=5, per_class=4).latents


def make_mapper(kind: str) -> TaskMapper[Any]:
    """Return an empty mapper of a kind."""
    return mapper_with(kind, sample_metric())


def anchors_of(kind: str) -> dict[str, TaskAnchor]:
    """Return anchors of four tasks with 2 to 5 classes."""
    return {
        key: make_anchor(kind, make_sample(seed, n_classes=2 + seed))
        for seed, key in enumerate(KEYS)
    }


def filled(kind: str, anchors: dict[str, TaskAnchor]) -> TaskMapper[Any]:
    """Return a mapper with these anchors, added in the order of the dictionary."""
    mapper = make_mapper(kind)
    for key, anchor in anchors.items():
        mapper.add(key, anchor)
    return mapper


def assert_same_bits(one: MapperScores, other: MapperScores) -> None:
    """Compare all scores byte by byte."""
    assert one.keys == other.keys
    assert one.task.tobytes() == other.task.tobytes()
    assert (one.classes is None) == (other.classes is None)
    for mine, theirs in zip(one.classes or (), other.classes or (), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_every_method_has_an_anchor_and_a_mapper_that_agree() -> None:
    """Both registries have all methods, and anchor and mapper use equal latents."""
    assert set(METHODS) == set(ANCHORS) == {"moments", *PAPER_MAPPERS}
    for kind in METHODS:
        assert ANCHORS[kind].latent == make_mapper(kind).latent
        assert ANCHORS[kind].kind == make_mapper(kind).kind == kind
    with pytest.raises(ConfigError, match="a package that offers the mapper 'none'"):
        make_mapper("none")


@every_kind
def test_any_order_of_arrival_gives_the_same_bits(kind: str) -> None:
    """Agents with equal skills are identical, whatever the order of arrival."""
    anchors = anchors_of(kind)
    expected = filled(kind, anchors).score(QUESTIONS)
    random = np.random.default_rng(0)
    for _ in range(5):
        order = random.permutation(KEYS)
        assert_same_bits(filled(kind, {k: anchors[k] for k in order}).score(QUESTIONS), expected)


@every_kind
def test_duplicates_and_removed_anchors_leave_no_trace(kind: str) -> None:
    """Scores are equal bit for bit after adding twice, or adding and removing."""
    anchors = anchors_of(kind)
    expected = filled(kind, anchors).score(QUESTIONS)
    mapper = make_mapper(kind)
    mapper.add("zz", make_anchor(kind, make_sample(50)))
    mapper.score(QUESTIONS)
    for key in reversed(KEYS):
        mapper.add(key, anchors[key])
        mapper.add(key, anchors[key])
    mapper.remove("zz")
    mapper.remove("zz")
    mapper.remove(KEYS[0])
    mapper.score(QUESTIONS)
    mapper.add(KEYS[0], anchors[KEYS[0]])
    assert_same_bits(mapper.score(QUESTIONS), expected)


@every_kind
def test_other_keys_permute_columns_only(kind: str) -> None:
    """A task's score does not depend on its key."""
    anchors = anchors_of(kind)
    names = dict(zip(KEYS, ("w", "z", "x", "y"), strict=True))
    expected = filled(kind, anchors).score(QUESTIONS)
    scores = filled(kind, {names[key]: anchor for key, anchor in anchors.items()}).score(QUESTIONS)
    assert scores.keys == ("w", "x", "y", "z")
    for position, key in enumerate(expected.keys):
        column = scores.keys.index(names[key])
        np.testing.assert_allclose(scores.task[:, column], expected.task[:, position], rtol=1e-9)
        if expected.classes is not None and scores.classes is not None:
            np.testing.assert_allclose(
                scores.classes[column], expected.classes[position], rtol=1e-9, atol=1e-9
            )


@every_kind
def test_images_of_known_tasks_are_mapped_to_them(kind: str) -> None:
    """For well-separated tasks, nearly all training images get their own task."""
    samples = {key: make_sample(seed) for seed, key in enumerate(KEYS)}
    mapper = filled(kind, {key: make_anchor(kind, sample) for key, sample in samples.items()})
    for key, sample in samples.items():
        scores = mapper.score(sample.latents)
        assert np.mean(scores.task.argmax(axis=1) == scores.keys.index(key)) > 0.9


@every_kind
def test_an_empty_mapper_refuses_to_score(kind: str) -> None:
    """This also holds after the last anchor was removed."""
    mapper = make_mapper(kind)
    with pytest.raises(ValueError, match="expected at least one task anchor"):
        mapper.score(QUESTIONS)
    mapper.add("a", make_anchor(kind, make_sample(0)))
    mapper.remove("a")
    assert mapper.keys() == ()
    with pytest.raises(ValueError, match="expected at least one task anchor"):
        mapper.score(QUESTIONS)


@every_kind
def test_latents_of_another_size_are_refused_with_a_remedy(kind: str) -> None:
    """The message contains the expected size, the actual size and a remedy."""
    mapper = filled(kind, anchors_of(kind))
    with pytest.raises(ValueError, match=r"expected latents of size 24, got 7; .*embed"):
        mapper.score(np.ones((2, 7), np.float32))
    with pytest.raises(
        ValueError, match=r"expected an anchor of latent size 24, got 8; .*backbone"
    ):
        mapper.add("e5", make_anchor(kind, make_sample(0, dim=8)))
    assert mapper.keys() == tuple(sorted(KEYS))


@every_kind
def test_latents_that_are_not_finite_are_refused(kind: str) -> None:
    """Otherwise the argmax would be taken over NaN."""
    mapper = filled(kind, anchors_of(kind))
    for value in (np.nan, np.inf):
        questions = QUESTIONS.copy()
        questions[1, 2] = value
        with pytest.raises(ValueError, match="expected finite latents"):
            mapper.score(questions)
    with pytest.raises(ValueError, match="at least one image"):
        mapper.score(QUESTIONS[:0])


@every_kind
def test_an_anchor_of_another_kind_is_refused(kind: str) -> None:
    """The message names the right mapper."""
    other = METHODS[METHODS.index(kind) - 1]
    with pytest.raises(ValueError, match=f"expected a {kind} anchor, got a {other} one"):
        make_mapper(kind).add("a", make_anchor(other, make_sample(0)))


@every_kind
def test_an_anchor_can_be_restored_from_its_tensors(kind: str) -> None:
    """The restored tensors are equal byte for byte and match their specification."""
    anchor = make_anchor(kind, make_sample(1))
    tensors = anchor.tensors()
    assert set(tensors) == set(anchor.tensor_specs)
    again = type(anchor).from_tensors(tensors, anchor.n_classes)
    assert (again.n_classes, again.dim) == (anchor.n_classes, anchor.dim) == (3, DIM)
    for name, array in again.tensors().items():
        assert array.tobytes() == tensors[name].tobytes()
        assert array.dtype == tensors[name].dtype


@every_kind
def test_numbers_that_are_not_finite_are_refused_in_every_tensor(kind: str) -> None:
    """One NaN in an anchor would capture every image."""
    anchor = make_anchor(kind, make_sample(1))
    for name, array in anchor.tensors().items():
        if array.dtype.kind != "f":
            continue
        for value in (np.nan, np.inf, -np.inf):
            broken = array.copy()
            broken.flat[0] = value
            with pytest.raises(ValueError, match=name):
                type(anchor).from_tensors({**anchor.tensors(), name: broken}, anchor.n_classes)


@every_kind
def test_wrong_names_types_and_shapes_are_refused(kind: str) -> None:
    """Every tensor needs its name, its type and a shape consistent with the others."""
    anchor = make_anchor(kind, make_sample(1))
    good = anchor.tensors()
    for name, array in good.items():
        rest = {other: good[other] for other in good if other != name}
        for broken in (
            rest,
            {**rest, name: array.astype(np.float64)},
            {**rest, name: array[None]},
            {**rest, name: array[..., :0]},
        ):
            with pytest.raises(ValueError, match=name):
                type(anchor).from_tensors(broken, anchor.n_classes)
    with pytest.raises(ValueError, match="expected tensors"):
        type(anchor).from_tensors({**good, "more": good["means"]}, anchor.n_classes)


@every_kind
@pytest.mark.parametrize("case", ["constant", "one image per class", "one image", "dead channels"])
def test_degenerate_tasks_give_finite_scores(kind: str, case: str) -> None:
    """Tasks without variance work alone and together with other tasks."""
    sample = make_sample(3)
    rows, labels, n_classes = sample.latents.copy(), sample.labels, 3
    if case == "constant":
        rows[:] = rows[0]
    elif case == "one image per class":
        rows, labels = rows[:3], labels[:3]
    elif case == "one image":
        rows, labels, n_classes = rows[:1], labels[:1], 1
    else:
        rows[:, ::2] = 0
    anchor = make_anchor(kind, Sample(rows, labels, n_classes))
    anchor = type(anchor).from_tensors(anchor.tensors(), n_classes)
    alone, among_others = make_mapper(kind), filled(kind, anchors_of(kind))
    for mapper in (alone, among_others):
        mapper.add("odd", anchor)
        scores = mapper.score(QUESTIONS)
        assert np.isfinite(scores.task).all()
        assert all(np.isfinite(values).all() for values in scores.classes or ())


def held_out_of(kind: str, own: Sample, others: np.ndarray) -> HeldOut:
    """Return held-out scores as a teacher makes them, from validation images if needed."""
    if kind == "moments":
        return held_out_scores(own.latents, own.labels, own.n_classes, sample_metric())
    anchor = make_anchor(kind, own)
    if isinstance(anchor, GmmcAnchor):
        return HeldOut.of(log_likelihood(anchor, others))
    mapper = make_mapper(kind)
    mapper.add("a", anchor)
    return HeldOut.of(mapper.familiarity("a", others))


@every_kind
def test_familiarity_tells_own_images_from_foreign_ones(kind: str) -> None:
    """About the promised 10 % of fresh images are below the threshold, and nearly all others."""
    alarms, caught = [], []
    for seed in range(6):
        sample = make_sample(seed, per_class=120)
        parts = [slice(start, None, 3) for start in range(3)]
        labels = np.repeat(sample.labels[:3], 40)
        train, validation, fresh = (
            Sample(
                np.concatenate([sample.latents[sample.labels == c][part] for c in range(3)]),
                labels,
                3,
            )
            for part in parts
        )
        mapper = make_mapper(kind)
        mapper.add("a", make_anchor(kind, train), held_out_of(kind, train, validation.latents))
        held_out = mapper.held_out("a")
        assert held_out is not None
        threshold = held_out.threshold(0.1)
        assert threshold is not None
        alarms.append(np.mean(mapper.familiarity("a", fresh.latents) < threshold))
        foreign = make_sample(seed + 50, per_class=20).latents
        caught.append(np.mean(mapper.familiarity("a", foreign) < threshold))
    assert 0.05 < np.mean(alarms) < 0.14
    assert np.mean(caught) > 0.9


@every_kind
def test_familiarity_depends_on_the_anchor_and_its_held_out_images_only(kind: str) -> None:
    """Other tasks change no bit of it."""
    anchors = anchors_of(kind)
    crowd = filled(kind, anchors)
    for key, anchor in anchors.items():
        alone = filled(kind, {key: anchor})
        found, expected = (m.familiarity(key, QUESTIONS) for m in (crowd, alone))
        assert found.shape == (len(QUESTIONS),)
        assert found.tobytes() == expected.tobytes()
        assert crowd.held_out(key) is None


@every_kind
def test_held_out_scores_are_kept_and_removed_with_their_anchor(kind: str) -> None:
    """The first ones of a key count, because a key always refers to the same skill."""
    anchor, held_out = make_anchor(kind, make_sample(0)), HeldOut.of(np.zeros(4))
    mapper = make_mapper(kind)
    mapper.add("a", anchor, held_out)
    mapper.add("a", anchor, None)
    assert mapper.held_out("a") is held_out
    mapper.remove("a")
    with pytest.raises(KeyError):
        mapper.held_out("a")


@every_kind
def test_an_exact_copy_takes_half_of_the_images(kind: str) -> None:
    """Ties are broken by a hash of the key and the image, for every kind of mapper."""
    anchor = make_anchor(kind, make_sample(0))
    images = make_sample(0, per_class=120).latents
    for keys in (("a", "b"), ("b", "a")):
        scores = filled(kind, dict.fromkeys(keys, anchor)).score(images)
        assert 0.42 < np.mean(scores.task.argmax(axis=1) == scores.keys.index("a")) < 0.58


def test_log_posteriors_sum_to_one_and_keep_differences_of_any_size() -> None:
    """Scores far from zero must neither overflow nor vanish."""
    scores = np.array([[1000.0, 1001.0, 998.5], [-2000.0, -2000.0, -2003.0], [0.0, 3.0, -1.0]])
    found = log_softmax(scores)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.diff(found), np.diff(scores), rtol=1e-12)
