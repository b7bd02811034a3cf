"""Large banks: tasks compete in leading coordinates first, and the best ones with all of them."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping import moments, moments_scan
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import HALF_SHARE, OWN_SHARE
from teachmesh.mapping.mapper import MapperScores
from teachmesh.mapping.quantise import unit_rows
from tests.mapping.banks import DIM, mapper_of, questions, random_anchor, random_anchors

BANK = random_anchors(60)
IMAGES = questions(80, size=2.0)
COORDINATES, DIRECTIONS, SHORTLIST = 9, 3, 5


@pytest.fixture(autouse=True)
def _large_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bank of more than 4 tasks is large."""
    monkeypatch.setattr(moments, "SMALL_BANK", 4)
    monkeypatch.setattr(moments, "SHORTLIST", SHORTLIST)
    monkeypatch.setattr(moments, "LEADING", (COORDINATES, DIRECTIONS))
    monkeypatch.setattr(moments_scan, "BLOCK_ROWS", 60)
    monkeypatch.setattr(moments_scan, "BLOCKS_IN_MEMORY", 2)


def one_round(anchors: dict[str, MomentsAnchor]) -> MapperScores:
    """Score all tasks in float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "SMALL_BANK", len(anchors))
        return mapper_of(anchors).score(IMAGES)


def leading_evidence(anchor: MomentsAnchor) -> np.ndarray:
    """Return the (N,) evidence in the leading coordinates, from an explicit covariance."""
    degrees = int(anchor.degrees[0])
    share = OWN_SHARE * degrees / (degrees + HALF_SHARE)
    rows = unit_rows(anchor.directions)[:DIRECTIONS, :COORDINATES]
    own = rows.T @ np.diag(anchor.variances[:DIRECTIONS].astype(float)) @ rows
    unit = np.eye(COORDINATES)
    covariance = (1 - share) * unit + share * (own + float(anchor.rest[0]) * unit)
    residuals = IMAGES[:, None, :COORDINATES] - anchor.class_means()[:, :COORDINATES]
    squared = np.einsum("ncd,de,nce->nc", residuals, np.linalg.inv(covariance), residuals)
    return np.asarray(-0.5 * (squared.min(axis=1) + np.linalg.slogdet(covariance)[1]))


def test_the_second_round_has_the_best_tasks_of_the_first() -> None:
    """Compared with plain Gaussians in the leading coordinates."""
    scores = mapper_of(BANK).score(IMAGES)
    evidence = np.stack([leading_evidence(BANK[key]) for key in scores.keys], axis=1)
    best = np.argsort(-evidence, axis=1)[:, :SHORTLIST]
    for i, row in enumerate(np.isfinite(scores.task)):
        assert set(np.flatnonzero(row)) == set(best[i])


def test_two_rounds_equal_one_round_if_the_best_task_is_on_the_shortlist() -> None:
    """Evidence agrees within 1e-4 of its size, because large banks use float32 products."""
    two, one = mapper_of(BANK).score(IMAGES), one_round(BANK)
    kept, best = np.isfinite(two.task), one.task.argmax(axis=1)
    np.testing.assert_allclose(two.task[kept], one.task[kept], rtol=1e-4)
    listed = kept[np.arange(len(IMAGES)), best]
    assert (two.task.argmax(axis=1)[listed] == best[listed]).all()
    assert 0.4 < listed.mean() < 1  # both cases occur


@pytest.mark.parametrize("setting", ["all coordinates", "all tasks"])
def test_nothing_is_lost_if_the_first_round_is_complete(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best task of every image is that of one round."""
    if setting == "all tasks":
        monkeypatch.setattr(moments, "SHORTLIST", len(BANK))
    else:
        monkeypatch.setattr(moments, "LEADING", (DIM, DIM))
    two, one = mapper_of(BANK).score(IMAGES), one_round(BANK)
    assert (two.task.argmax(axis=1) == one.task.argmax(axis=1)).all()
    assert np.isfinite(two.task).all() == (setting == "all tasks")


def test_scores_do_not_depend_on_the_order_of_tasks() -> None:
    """Neither on tasks that were removed."""
    expected = mapper_of(BANK).score(IMAGES)
    random = np.random.default_rng(0)
    for _ in range(3):
        mapper = mapper_of({"gone": random_anchor(900)})
        for key in random.permutation(sorted(BANK)):
            mapper.add(str(key), BANK[str(key)])
        mapper.remove("gone")
        scores = mapper.score(IMAGES)
        assert scores.keys == expected.keys
        assert scores.task.tobytes() == expected.task.tobytes()


def test_strangers_change_no_bit_of_tasks_on_the_shortlist() -> None:
    """A stranger can only displace a task."""
    strangers = {f"s{n}": random_anchor(700 + n) for n in range(20)}
    before, after = mapper_of(BANK).score(IMAGES), mapper_of({**BANK, **strangers}).score(IMAGES)
    old = after.task[:, [after.keys.index(key) for key in before.keys]]
    both = np.isfinite(old) & np.isfinite(before.task)
    assert both.any(axis=1).mean() > 0.9
    assert old[both].tobytes() == before.task[both].tobytes()
    assert (np.isfinite(before.task) | ~np.isfinite(old)).all()


def test_copies_of_the_last_task_on_the_shortlist_all_enter_the_second_round() -> None:
    """No order of keys can decide which of equal tasks is left out."""
    anchors = {f"{key}{copy}": BANK[key] for key in BANK for copy in "ab"}
    scores = mapper_of(anchors).score(IMAGES)
    kept = np.isfinite(scores.task)
    assert (kept[:, ::2] == kept[:, 1::2]).all()
    assert (kept.sum(axis=1) == SHORTLIST + 1).all()
