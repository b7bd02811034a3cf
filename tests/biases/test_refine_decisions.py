"""A biased decision changes the classes within its task, for its images, and nothing else."""

from __future__ import annotations

import numpy as np

from teachmesh.biases.refine_decisions import BiasedDecision, refine, tasks_in_question
from teachmesh.mapping.decisions import Decisions
from teachmesh.mapping.fusion import fuse, log_softmax
from tests.biases.bias_samples import decisions_of

SIZES = (2, 3, 4)
N = 6


def decisions(*, direct: bool = True, seed: int = 0) -> Decisions:
    """Draw decisions on six images for three tasks of two, three and four classes."""
    generator = np.random.default_rng(seed)
    scores = [generator.normal(size=(N, size)) for size in SIZES]
    return decisions_of(
        ("a", "b", "c"),
        log_softmax(generator.normal(size=(N, 3))),
        [log_softmax(part) for part in scores],
        direct=log_softmax(np.hstack(scores)) if direct else None,
        comparable=direct,
    )


def biased(task: int, rows: list[int], weight: float = 0.5) -> BiasedDecision:
    """Draw a biased decision on some images."""
    scores = np.random.default_rng(9).normal(size=(len(rows), SIZES[task]))
    return BiasedDecision(task, np.array(rows), log_softmax(scores), weight)


def test_only_the_rows_and_the_task_of_a_biased_decision_change() -> None:
    """All other numbers are bit-identical."""
    before, said = decisions(), biased(1, [0, 4])
    after = refine(before, [said])
    assert after.task is before.task
    for task in (0, 2):
        assert after.within[task].tobytes() == before.within[task].tobytes()
    others = [1, 2, 3, 5]
    assert after.within[1][others].tobytes() == before.within[1][others].tobytes()
    expected = fuse(before.within[1][[0, 4]], said.posteriors, 0.5)
    np.testing.assert_allclose(after.within[1][[0, 4]], expected)


def test_task_posteriors_do_not_change() -> None:
    """The total probability of each task stays, and all classes still sum to one."""
    before = decisions()
    after = refine(before, [biased(0, [0, 1, 2]), biased(2, [3, 5])])
    assert np.array_equal(after.mapped(), before.mapped())
    np.testing.assert_allclose(np.exp(after.joint()).sum(1), 1)
    assert before.direct is not None
    assert after.direct is not None
    ends = np.cumsum(SIZES)[:-1]
    for old, new in zip(
        np.split(before.direct, ends, 1), np.split(after.direct, ends, 1), strict=True
    ):
        np.testing.assert_allclose(np.exp(old).sum(1), np.exp(new).sum(1))
    np.testing.assert_allclose(np.exp(after.direct).sum(1), 1)


def test_a_biased_decision_of_full_weight_decides_within_its_task() -> None:
    """In the paper, the mapper decides first, then the head of the biased network alone."""
    before = decisions(direct=False)
    tasks = tasks_in_question(before)
    assert np.array_equal(tasks, before.mapped())
    said = [biased(t, np.flatnonzero(tasks == t).tolist(), 1.0) for t in set(tasks.tolist())]
    found_tasks, found_classes = refine(before, said).answer()
    assert np.array_equal(found_tasks, tasks)
    for one in said:
        assert np.array_equal(found_classes[one.rows], one.posteriors.argmax(1))


def test_biased_decisions_that_are_no_numbers_change_nothing() -> None:
    """Biases of an untrusted peer can make activations overflow."""
    before = decisions()
    said = biased(1, [0, 1])
    said.posteriors[0] = np.nan
    after = refine(before, [said])
    assert after.within[1][0].tobytes() == before.within[1][0].tobytes()
    assert after.within[1][1].tobytes() != before.within[1][1].tobytes()
    assert np.isfinite(after.joint()).all()


def test_two_biased_decisions_of_one_task_both_count() -> None:
    """They come one by one if a second pass runs per image; the order makes no difference."""
    before, said = decisions(), [biased(1, [0, 4]), biased(1, [2, 3], 0.9)]
    after, turned = refine(before, said), refine(before, said[::-1])
    assert after.within[1].tobytes() == turned.within[1].tobytes()
    for one in said:
        expected = fuse(before.within[1][one.rows], one.posteriors, one.weight)
        np.testing.assert_allclose(after.within[1][one.rows], expected)


def test_the_decisions_of_the_first_pass_are_left_as_they_are() -> None:
    """They can be refined again for other tasks."""
    before = decisions()
    copies = [part.copy() for part in before.within]
    refine(before, [biased(0, [0, 1]), biased(2, [2])])
    assert all(np.array_equal(a, b) for a, b in zip(before.within, copies, strict=True))
