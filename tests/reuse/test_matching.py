"""Matching by names and looks, on synthetic tasks."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.errors import UsageError
from teachmesh.reuse.matching import Match, SourceTask, find_pairs, match_classes
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import VisualSimilarity, compare, whitening

DIM, SEVEN = 40, ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
RANDOM = np.random.default_rng(0)
LOOKS = RANDOM.normal(size=(7, DIM))
"""Mean of each of the seven classes, without the style of a task."""


def style(seed: int, order: list[int] | None = None, noise: float = 0.4) -> np.ndarray:
    """Return (7, D) means of the seven classes in a random style, in the given order."""
    random = np.random.default_rng(seed)
    looks = LOOKS if order is None else LOOKS[order]
    return np.asarray(5 * random.normal(size=DIM) + looks + noise * random.normal(size=(7, DIM)))


def task(
    means: np.ndarray | None, classes: tuple[str, ...] = SEVEN, name: str = "old"
) -> SourceTask:
    """Return an old task with the author ann."""
    return SourceTask(f"{name}-id", name, "ann", classes, means)


def match(
    classes: tuple[str, ...], old: SourceTask, means: np.ndarray | None, mode: str = "auto"
) -> tuple[tuple[Match, ...], ...]:
    """Return the matches of a new task with one old task, without a text encoder."""
    transform = None if means is None else np.eye(DIM)
    return match_classes(
        classes, [old], NameComparer(), means=means, transform=transform, mode=mode
    )


def test_whitening_makes_the_covariance_the_identity() -> None:
    """With the ridge r, W (S + r) W^T = 1."""
    factor = RANDOM.normal(size=(DIM, DIM))
    covariance = factor @ factor.T
    matrix = whitening(covariance)
    ridge = 0.1 * np.trace(covariance) / DIM * np.eye(DIM)
    np.testing.assert_allclose(matrix @ (covariance + ridge) @ matrix.T, np.eye(DIM), atol=1e-9)


def test_looks_are_compared_from_the_centre_of_each_task() -> None:
    """Adding a style to all classes changes no cosine."""
    one, other = style(1), style(2)
    plain = compare(one, other, np.eye(DIM)).cosine
    moved = compare(one + 100.0, other - 30.0, np.eye(DIM)).cosine
    np.testing.assert_allclose(plain, moved, atol=1e-9)


def test_equal_names_that_look_alike_match_by_both() -> None:
    """Each class matches itself in another style."""
    found = match(SEVEN, task(style(1)), style(2))
    assert [row[0].class_name for row in found] == list(SEVEN)
    assert {row[0].by for row in found} == {"text+vision"}


def test_homonyms_are_separated_by_looks() -> None:
    """The names agree but the looks do not, so nothing matches."""
    unrelated = np.random.default_rng(9).normal(size=(7, DIM))
    assert all(not row for row in match(SEVEN, task(style(1)), unrelated))
    by_name = match(SEVEN, task(style(1)), unrelated, "text")
    assert all(row[0].by == "text" for row in by_name)


def test_other_names_for_the_same_looks_match_by_vision() -> None:
    """Neither meaningless names nor the order of the classes matter."""
    order = [3, 1, 6, 0, 2, 5, 4]
    numbered = tuple(f"class {i}" for i in range(7))
    found = match(numbered, task(style(1)), style(2, order))
    assert [row[0].class_name for row in found] == [SEVEN[i] for i in order]
    assert {row[0].by for row in found} == {"vision"}


def test_without_images_only_names_count() -> None:
    """This holds for `match --by text`, and for skills without class means."""
    for found in (match(SEVEN, task(style(1)), None), match(SEVEN, task(None), style(2))):
        assert [row[0].class_name for row in found] == list(SEVEN)
        assert {row[0].by for row in found} == {"text"}


def test_a_meaningless_name_changes_only_its_own_match() -> None:
    """The matches of the other six classes stay."""
    hostile = (*SEVEN[:6], "\U0001f600" * 9000)
    before, after = (match(names, task(style(1)), style(2)) for names in (SEVEN, hostile))
    assert after[:6] == before[:6]


def test_names_are_ignored_when_matching_by_looks_only() -> None:
    """Equal names and unrelated names give the same pairs."""
    looks = compare(style(1), style(2), np.eye(DIM))
    found = find_pairs(np.eye(7), looks, "vision")
    assert found == find_pairs(np.zeros((7, 7)), looks, "vision")
    assert {by for *_, by in found} == {"vision"}
    assert find_pairs(np.eye(7), None, "vision") == []


def test_an_unknown_mode_is_refused() -> None:
    """The error lists the modes."""
    with pytest.raises(UsageError, match="auto, text, vision"):
        match(SEVEN, task(None), None, "smell")


def test_among_equal_names_the_most_similar_in_looks_comes_first() -> None:
    """A head starts from the first match, so ids must not decide."""
    near, far = task(style(1, noise=0.1), name="z-near"), task(style(3, noise=1.0), name="a-far")
    found = match_classes(
        SEVEN, [far, near], NameComparer(), means=style(2, noise=0.1), transform=np.eye(DIM)
    )
    for row in found:
        assert [match.score for match in row] == [1.0, 1.0]
        assert [match.task for match in row] == ["z-near", "a-far"]
        cosines = [match.cosine for match in row]
        assert cosines == sorted(cosines, key=lambda c: -(c or 0.0))


def test_among_equal_names_the_same_spelling_matches() -> None:
    """One task has two spellings of a name, the other task has one of them."""
    found = match(("t_shirt", "TShirt"), task(None, ("dog", "TShirt")), None)
    assert [[m.class_name for m in row] for row in found] == [[], ["TShirt"]]
    found = match(("TShirt",), task(None, ("t_shirt", "TShirt")), None)
    assert [[m.class_name for m in row] for row in found] == [["TShirt"]]


def test_similar_names_match_only_if_looks_confirm_them() -> None:
    """Names with a similarity of 0.8 need confirmation, and then count more than looks."""
    names = 0.8 * np.eye(7)
    assert find_pairs(names, None, "auto") == []
    looks = compare(style(1), style(2), np.eye(DIM))
    expected = [(i, i, 0.8, "text+vision") for i in range(7)]
    assert find_pairs(names, looks, "auto") == expected


def test_nearest_neighbours_are_mutual() -> None:
    """The second class is nearest to a class that is nearer to the first one."""
    cosine = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.1], [0.1, 0.0, 0.7]])
    assert VisualSimilarity(cosine, cosine).mutual() == [(0, 0), (2, 2)]
