"""Answers derived from scores, compared with a plain search over all classes."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.errors import DataError
from teachmesh.mapping.decisions import Decisions, PerTask
from teachmesh.mapping.fusion import log_softmax

SIZES = (3, 1, 4, 2)
N = 12


def decisions(
    *, levels: int | None = None, far: bool = False, comparable: bool = True
) -> Decisions:
    """Return random decisions; few `levels` give ties, `far` gives scores of minus infinity."""
    random = np.random.default_rng(0)

    def scores(columns: int) -> np.ndarray:
        values = random.normal(size=(N, columns))
        return log_softmax(values if levels is None else np.rint(levels * values))

    task = scores(len(SIZES))
    if far:
        task[np.arange(N), random.integers(len(SIZES), size=N)] = -np.inf
    within = [scores(size) for size in SIZES]
    return Decisions(
        skill_ids=tuple("abcd"),
        n_classes=SIZES,
        task=task,
        within=PerTask(lambda t: within[t], len(SIZES)),
        familiarity=PerTask(lambda t: task[:, t], len(SIZES)),
        held_out=(None,) * len(SIZES),
        comparable=comparable,
    )


def test_values_are_computed_once_and_only_for_the_tasks_that_need_them() -> None:
    """Also by negative positions and when iterating; replaced values leave the original alone."""
    calls: list[int] = []

    def compute(task: int) -> int:
        calls.append(task)
        return 10 * task

    values = PerTask(compute, 4)
    assert (values[2], values[2], values[-2], len(values)) == (20, 20, 20, 4)
    assert calls == [2]
    other = values.replaced({0: -1})
    assert list(other) == [-1, 10, 20, 30]
    assert list(values) == [0, 10, 20, 30]
    assert sorted(calls) == [0, 1, 1, 2, 3, 3]
    with pytest.raises(IndexError):
        values[4]


def test_the_answer_is_the_best_class_of_the_best_task() -> None:
    """The mapper decides first, then the skill alone."""
    found = decisions()
    tasks, classes = found.answer()
    for i in range(N):
        assert tasks[i] == found.task[i].argmax()
        assert classes[i] == found.within[int(tasks[i])][i].argmax()
        assert found.class_given(int(tasks[i]))[i] == classes[i]


def test_the_direct_answer_is_the_best_of_all_classes() -> None:
    """A probability is that of the task times that of the class."""
    found = decisions()
    tasks, classes = found.best()
    for i in range(N):
        products = [found.task[i, t] + found.within[t][i] for t in range(len(SIZES))]
        assert products[tasks[i]][classes[i]] == max(map(max, products))
    np.testing.assert_allclose(np.exp(found.joint()).sum(axis=1), 1)


def test_classes_of_tasks_that_cannot_be_compared_have_no_direct_answer() -> None:
    """The message names the method that works."""
    with pytest.raises(DataError, match=r"answer\(\)"):
        decisions(comparable=False).best()


def test_columns_are_located_in_their_tasks() -> None:
    """Every column of the joint scores, in order."""
    tasks, classes = decisions().locate(np.arange(sum(SIZES)))
    expected = [(t, c) for t, size in enumerate(SIZES) for c in range(size)]
    assert list(zip(tasks.tolist(), classes.tolist(), strict=True)) == expected


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("levels", [None, 1])
@pytest.mark.parametrize("far", [False, True])
def test_the_leading_classes_are_those_of_a_full_sort(
    count: int, levels: int | None, far: bool
) -> None:
    """With ties too, and without a look at tasks that are too far behind."""
    found = decisions(levels=levels, far=far)
    everything = [(t, c) for t, size in enumerate(SIZES) for c in range(size)]
    joint = found.joint()
    for i in range(N):
        expected = sorted((-joint[i, column], *place) for column, place in enumerate(everything))
        leading = found.leading(i, count)
        assert leading == [(t, c, -negated) for negated, t, c in expected[:count]]
