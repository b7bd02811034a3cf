"""Mapper, oracle, final and direct accuracy against a loop over images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from teachmesh.mapping.decisions import Decisions
from teachmesh_lab.evaluation.measure import mean_of, score_task
from teachmesh_lab.evaluation.metrics import answer

N_IMAGES, SIZES = 60, (3, 2, 4)


def _decisions(seed: int, *, direct: bool) -> Decisions:
    random = np.random.default_rng(seed)
    within = tuple(random.standard_normal((N_IMAGES, size)) for size in SIZES)
    return Decisions(
        skill_ids=("a", "b", "c"),
        task=random.standard_normal((N_IMAGES, len(SIZES))),
        within=within,
        direct=random.standard_normal((N_IMAGES, sum(SIZES))) if direct else None,
        typicality=random.standard_normal((N_IMAGES, len(SIZES))),
        answers_directly=direct,
    )


@pytest.mark.parametrize("task", [0, 1, 2])
def test_scores_equal_a_loop_over_images(task: int) -> None:
    """Unequal class counts: a swapped axis or offset would show."""
    decisions = _decisions(task, direct=True)
    labels = np.random.default_rng(9).integers(SIZES[task], size=N_IMAGES)
    assert decisions.direct is not None
    owner = [(t, c) for t, size in enumerate(SIZES) for c in range(size)]
    mapper = oracle = final = direct = unknown = 0
    for i in range(N_IMAGES):
        chosen = int(np.argmax(decisions.task[i]))
        mapper += chosen == task
        oracle += int(np.argmax(decisions.within[task][i])) == labels[i]
        final += chosen == task and int(np.argmax(decisions.within[chosen][i])) == labels[i]
        best = owner[int(np.argmax(decisions.direct[i]))]
        direct += best == (task, labels[i])
        assert decisions.typicality is not None
        unknown += decisions.typicality[i, best[0]] < 0

    score = score_task("x", task, decisions, labels, 100)
    found = (score.mapper, score.oracle, score.final, score.direct, score.unknown)
    assert found == pytest.approx([n / N_IMAGES for n in (mapper, oracle, final, direct, unknown)])
    assert (score.classes, score.test_images) == (SIZES[task], N_IMAGES)
    assert score.accuracy == score.direct
    assert "accuracy" not in score.to_json()


def test_images_of_several_tasks_are_scored_as_each_task_alone() -> None:
    """One batch with the images of three tasks, also with other positions of the tasks."""
    decisions, labels = _decisions(0, direct=True), np.zeros(N_IMAGES, dtype=np.int64)
    tasks = np.repeat([2, 0, 1], N_IMAGES // 3)
    answers = answer(decisions, tasks)
    elsewhere = answers.renumbered(np.array([5, 3, 4]))
    for start, task, position in ((0, 2, 4), (20, 0, 5), (40, 1, 3)):
        rows = slice(start, start + 20)
        alone = answer(decisions, np.full(N_IMAGES, task)).score(task, labels[rows], rows)
        assert answers.score(task, labels[rows], rows) == alone
        assert elsewhere.score(position, labels[rows], rows) == alone


def test_a_mapper_without_class_scores_has_no_direct_figure() -> None:
    """The direct accuracy is None, not zero."""
    labels = np.zeros(N_IMAGES, dtype=np.int64)
    score = score_task("x", 0, _decisions(0, direct=False), labels, 1)
    assert score.direct is None
    assert score.accuracy == score.final
    assert mean_of([score])["direct"] is None


def test_means_count_tasks_alike_however_many_images_they_have() -> None:
    """Means are unweighted; one task without a direct accuracy makes its mean None."""
    labels = np.zeros(N_IMAGES, dtype=np.int64)
    score = score_task("x", 0, _decisions(0, direct=True), labels, 10)
    small = dataclasses.replace(score, test_images=1, mapper=1.0, direct=0.5, skill_bytes=30)
    large = dataclasses.replace(score, test_images=999, mapper=0.0, direct=0.0)
    means = mean_of([small, large])
    assert (means["mapper"], means["direct"], means["skill_bytes"]) == (0.5, 0.25, 20)
    assert mean_of([small, dataclasses.replace(large, direct=None)])["direct"] is None
