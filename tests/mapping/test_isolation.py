"""No skill changes the decisions of another one, and ties cannot be won by a choice of keys."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.mapping import moments
from teachmesh.mapping.anchor_kinds import MAX_SPREAD, MomentsAnchor
from teachmesh.mapping.mapper import TIE_STEP, MapperScores
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.typicality import HeldOut, Scale
from tests.mapping.banks import (
    DIM,
    METRIC,
    mapper_of,
    questions,
    random_anchor,
    random_anchors,
)

FEW = settings(max_examples=40, deadline=None, derandomize=True, database=None)
BANK = random_anchors(12)
KEYS = sorted(BANK)
IMAGES = questions(9)
HELD_OUT = HeldOut.of(np.linspace(-3, 1, 40), Scale(3.0, 2.0))
small_and_large = pytest.mark.parametrize("small_bank", [64, 2], ids=["small bank", "large bank"])


def score(mapper: MomentsMapper, small_bank: int, images: np.ndarray = IMAGES) -> MapperScores:
    """Score images; a bank of more than `small_bank` tasks is large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "SMALL_BANK", small_bank)
        patch.setattr(moments, "SHORTLIST", 2)
        return mapper.score(images)


def columns(scores: MapperScores) -> dict[str, np.ndarray]:
    """Return the scores of each task."""
    return {key: scores.task[:, t] for t, key in enumerate(scores.keys)}


def poisoned(anchor: MomentsAnchor) -> MomentsAnchor:
    """Return a task at the limits of what is admitted: huge covariance, means and head."""
    tensors = {
        **anchor.tensors(),
        "means": np.full_like(anchor.means, 127),
        "mean_scales": np.ones_like(anchor.mean_scales),
        "variances": np.zeros_like(anchor.variances),
        "rest": np.array([MAX_SPREAD], np.float32),
        "degrees": np.array([2**32 - 1], np.uint32),
        "head_scales": np.full_like(anchor.head_scales, 1e3),
        "head_bias": np.full_like(anchor.head_bias, 1e6),
    }
    return MomentsAnchor.from_tensors(tensors, anchor.n_classes)


STRANGERS = {
    "poisoned": poisoned(random_anchor(50)),
    "similar": dataclasses.replace(
        BANK[KEYS[0]], mean_scales=BANK[KEYS[0]].mean_scales * np.float32(1.01)
    ),
    "any": random_anchor(51),
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("name", ["00", "zz"])
def test_no_stranger_changes_a_bit_of_a_tasks_class_decision(stranger: str, name: str) -> None:
    """Class decision and familiarity of a task are equal bytes alone and among others."""
    crowd = MomentsMapper(METRIC)
    crowd.add(name, STRANGERS[stranger])
    for key, anchor in BANK.items():
        crowd.add(key, anchor, HELD_OUT)
    for key, anchor in BANK.items():
        alone = MomentsMapper(METRIC)
        alone.add(key, anchor, HELD_OUT)
        assert crowd.within(key, IMAGES).tobytes() == alone.within(key, IMAGES).tobytes()
        expected = alone.familiarity(key, IMAGES)
        assert crowd.familiarity(key, IMAGES).tobytes() == expected.tobytes()


@pytest.mark.parametrize("stranger", STRANGERS)
def test_no_stranger_changes_a_bit_of_a_tasks_evidence(stranger: str) -> None:
    """Scores before they are normalised; a large bank has them for the best tasks only."""
    for small_bank in (64, 2):
        before = columns(score(mapper_of(BANK), small_bank))
        after = columns(score(mapper_of({**BANK, "00": STRANGERS[stranger]}), small_bank))
        compared = 0
        for key in BANK:
            both = np.isfinite(before[key]) & np.isfinite(after[key])
            assert before[key][both].tobytes() == after[key][both].tobytes()
            compared += int(both.sum())
        assert compared >= len(IMAGES)


def test_evidence_hardly_depends_on_the_size_of_the_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large banks use float32 products, so that bits can change when a bank becomes large."""
    monkeypatch.setattr(moments, "LEADING", (METRIC.dim, 64))
    small = score(mapper_of(BANK), 64).task
    large = score(mapper_of(BANK), 2).task
    kept = np.isfinite(large)
    np.testing.assert_allclose(large[kept], small[kept], rtol=1e-4)
    assert (kept.sum(axis=1) == 2).all()
    # All coordinates and directions are leading ones here, so exactly the best tasks are kept.
    assert (np.where(kept, np.inf, small).min(axis=1) <= np.where(kept, small, np.inf).min(1)).all()
    assert (small.argmax(axis=1) == large.argmax(axis=1)).all()


STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from(KEYS)), max_size=30)


@small_and_large
@FEW
@given(steps=STEPS, last=st.permutations(KEYS), kept=st.integers(1, len(KEYS)))
def test_any_history_of_a_bank_gives_the_same_bits(
    small_bank: int, steps: list[tuple[bool, str]], last: list[str], kept: int
) -> None:
    """Random adds, duplicates and removals, then the same set in any order."""
    mapper = MomentsMapper(METRIC)
    for position, (add, key) in enumerate(steps):
        if add:
            mapper.add(key, BANK[key])
        else:
            mapper.remove(key)
        if position % 10 == 9 and mapper.keys():
            score(mapper, small_bank)
    for key in last[:kept]:
        mapper.add(key, BANK[key])
        mapper.add(key, BANK[key])
    for key in last[kept:]:
        mapper.remove(key)
    expected = score(mapper_of({key: BANK[key] for key in sorted(last[:kept])}), small_bank)
    found = score(mapper, small_bank)
    assert found.keys == expected.keys
    assert found.task.tobytes() == expected.task.tobytes()


def test_a_key_can_come_back_with_another_anchor() -> None:
    """Nothing derived from the removed anchor is kept."""
    one, two = BANK[KEYS[0]], BANK[KEYS[1]]
    mapper = mapper_of({"a": one})
    mapper.within("a", IMAGES)
    mapper.remove("a")
    mapper.add("a", two)
    fresh = mapper_of({"a": two})
    assert mapper.within("a", IMAGES).tobytes() == fresh.within("a", IMAGES).tobytes()
    assert mapper.score(IMAGES).task.tobytes() == fresh.score(IMAGES).task.tobytes()


MANY = questions(900, seed=5)
KEY_PAIRS = [("a", "b"), ("b", "a"), ("0" * 64, "f" * 64), ("victim", "zz")]


def share_of(key: str, anchors: dict[str, MomentsAnchor], small_bank: int) -> float:
    """Return the fraction of images for which a task has the best score."""
    scores = score(mapper_of(anchors), small_bank, MANY)
    return float(np.mean(scores.task.argmax(axis=1) == scores.keys.index(key)))


@small_and_large
@pytest.mark.parametrize(("victim", "copy"), KEY_PAIRS)
def test_an_exact_copy_gets_about_half_of_the_images(
    victim: str, copy: str, small_bank: int
) -> None:
    """Whatever its key is: neither the first nor the last one wins."""
    anchor = BANK[KEYS[3]]
    far = random_anchor(60, size=25)
    share = share_of(victim, {victim: anchor, copy: anchor, "far": far}, small_bank)
    assert 0.45 < share < 0.55


@small_and_large
def test_eight_copies_leave_about_a_ninth(small_bank: int) -> None:
    """Copies share the images evenly with the original."""
    anchor = BANK[KEYS[3]]
    share = share_of("v", {"v": anchor, **{f"c{n}": anchor for n in range(8)}}, small_bank)
    assert 1 / 9 - 0.03 < share < 1 / 9 + 0.03


def one_class(anchor: MomentsAnchor, label: int) -> MomentsAnchor:
    """Return a task with one class of another task."""
    per_class = ("means", "mean_scales", "head", "head_scales", "head_bias")
    cut = {name: getattr(anchor, name)[label : label + 1] for name in per_class}
    return dataclasses.replace(anchor, **cut)


@small_and_large
def test_copies_of_single_classes_get_no_more_than_their_share(small_bank: int) -> None:
    """All together, they get the half that one copy of the whole task gets.

    Products with one row and with many rows can differ in their last bit. Some ties are therefore
    decided by rounding, which favours neither side on average.
    """
    shares = []
    for anchor in list(BANK.values())[: 12 if small_bank > 2 else 4]:  # a large bank takes longer
        copies = {f"c{label}": one_class(anchor, label) for label in range(anchor.n_classes)}
        shares.append(share_of("v", {"v": anchor, **copies}, small_bank))
    assert 0.45 < np.mean(shares) < 0.55
    assert 0.4 < min(shares) <= max(shares) < 0.6


def test_ties_lower_only_the_losers() -> None:
    """The best score of every image and all tasks without ties keep their bits."""
    anchor = BANK[KEYS[3]]
    before = columns(score(mapper_of(BANK), 64))
    after = columns(score(mapper_of({**BANK, "copy": anchor}), 64))
    best = np.maximum(after["copy"], after[KEYS[3]])
    assert best.tobytes() == before[KEYS[3]].tobytes()
    for key in BANK:
        lowered = after[key] != before[key]
        lower = before[key] - TIE_STEP * np.maximum(1, np.abs(before[key]))
        assert (lower[lowered] == after[key][lowered]).all()
        assert key == KEYS[3] or not lowered.any()


@small_and_large
def test_a_wide_task_captures_nothing(small_bank: int) -> None:
    """The log-determinant prevents a task with a large variance from winning everywhere."""
    anchor = BANK[KEYS[3]]
    wide = dataclasses.replace(
        anchor,
        variances=0 * anchor.variances,
        rest=np.array([MAX_SPREAD], np.float32),
        degrees=np.array([10**6], np.uint32),
    )
    random = np.random.default_rng(0)
    label = random.integers(anchor.n_classes, size=200)
    images = anchor.class_means()[label] + 0.5 * random.normal(size=(200, DIM))
    scores = score(
        mapper_of({"honest": anchor, "wide": wide, "far": random_anchor(60, size=25)}),
        small_bank,
        images.astype(np.float32),
    )
    assert np.mean(scores.task.argmax(axis=1) == scores.keys.index("honest")) > 0.95
