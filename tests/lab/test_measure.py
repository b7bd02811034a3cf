"""Mapper, oracle, final and direct accuracy against a loop over images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from teachmesh.mapping.accuracies import choose
from teachmesh.mapping.decisions import Decisions, PerTask
from teachmesh.mapping.typicality import HeldOut
from teachmesh_lab.evaluation.measure import is_unknown, mean_of, score_task

N_IMAGES, SIZES = 60, (3, 2, 4)


def _decisions(seed: int, *, comparable: bool) -> Decisions:
    """Return random decisions; the third task has too few held-out images for a threshold."""
    random = np.random.default_rng(seed)
    within = [random.standard_normal((N_IMAGES, size)) for size in SIZES]
    familiarity = random.standard_normal((len(SIZES), N_IMAGES))
    return Decisions(
        skill_ids=("a", "b", "c"),
        n_classes=SIZES,
        task=random.standard_normal((N_IMAGES, len(SIZES))),
        within=PerTask(within.__getitem__, len(SIZES)),
        familiarity=PerTask(familiarity.__getitem__, len(SIZES)),
        held_out=tuple(HeldOut.of(random.standard_normal(n)) for n in (99, 19, 18)),
        comparable=comparable,
    )


@pytest.mark.parametrize("task", [0, 1, 2])
def test_scores_equal_a_loop_over_images(task: int) -> None:
    """Unequal class counts: a swapped axis or offset would show."""
    decisions = _decisions(task, comparable=True)
    labels = np.random.default_rng(9).integers(SIZES[task], size=N_IMAGES)
    joint = [
        [decisions.task[i, t] + v for t, part in enumerate(decisions.within) for v in part[i]]
        for i in range(N_IMAGES)
    ]
    owner = [(t, c) for t, size in enumerate(SIZES) for c in range(size)]
    mapper = oracle = final = direct = unknown = 0
    for i in range(N_IMAGES):
        chosen = int(np.argmax(decisions.task[i]))
        mapper += chosen == task
        oracle += int(np.argmax(decisions.within[task][i])) == labels[i]
        final += chosen == task and int(np.argmax(decisions.within[chosen][i])) == labels[i]
        direct += owner[int(np.argmax(joint[i]))] == (task, labels[i])
        held_out = decisions.held_out[chosen]
        assert held_out is not None
        threshold = held_out.threshold(0.05)
        unknown += threshold is not None and decisions.familiarity[chosen][i] < threshold

    score = score_task("x", task, decisions, labels, 100)
    found = (score.mapper, score.oracle, score.final, score.direct, score.unknown)
    assert found == pytest.approx([n / N_IMAGES for n in (mapper, oracle, final, direct, unknown)])
    assert (score.classes, score.test_images) == (SIZES[task], N_IMAGES)


def test_images_of_several_tasks_are_scored_as_each_task_alone() -> None:
    """One batch with the images of three tasks, also with other positions of the tasks."""
    decisions, labels = _decisions(0, comparable=True), np.zeros(N_IMAGES, dtype=np.int64)
    tasks = np.repeat([2, 0, 1], N_IMAGES // 3)
    answers = choose(decisions, tasks)
    elsewhere = answers.renumbered(np.array([5, 3, 4]))
    for start, task, position in ((0, 2, 4), (20, 0, 5), (40, 1, 3)):
        rows = slice(start, start + 20)
        alone = choose(decisions, np.full(N_IMAGES, task)).score(task, labels[rows], rows)
        assert answers.score(task, labels[rows], rows) == alone
        assert elsewhere.score(position, labels[rows], rows) == alone


def test_images_are_unknown_if_fewer_than_the_promised_share_of_held_out_ones_are_below() -> None:
    """The r-th lowest of 99 scores, r = floor(100 a); a task without a threshold calls none."""
    decisions = _decisions(0, comparable=True)
    held_out, scores = decisions.held_out[0], decisions.familiarity[0]
    assert held_out is not None
    for rate in (0.01, 0.05, 0.2):
        threshold = np.sort(held_out.lowest)[round(100 * rate) - 1]
        found = is_unknown(decisions, np.zeros(N_IMAGES, dtype=np.int64), rate)
        np.testing.assert_array_equal(found, scores < threshold)
    assert found.any()
    assert not is_unknown(decisions, np.full(N_IMAGES, 2)).any()


def test_a_mapper_without_comparable_classes_has_no_direct_figure() -> None:
    """The direct accuracy is None, not zero."""
    labels = np.zeros(N_IMAGES, dtype=np.int64)
    score = score_task("x", 0, _decisions(0, comparable=False), labels, 1)
    assert score.direct is None
    assert mean_of([score])["direct"] is None


def test_means_count_tasks_alike_however_many_images_they_have() -> None:
    """Means are unweighted; one task without a direct accuracy makes its mean None."""
    labels = np.zeros(N_IMAGES, dtype=np.int64)
    score = score_task("x", 0, _decisions(0, comparable=True), labels, 10)
    small = dataclasses.replace(score, test_images=1, mapper=1.0, direct=0.5, skill_bytes=30)
    large = dataclasses.replace(score, test_images=999, mapper=0.0, direct=0.0)
    means = mean_of([small, large])
    assert (means["mapper"], means["direct"], means["skill_bytes"]) == (0.5, 0.25, 20)
    assert mean_of([small, dataclasses.replace(large, direct=None)])["direct"] is None
