"""Classes matched by name and by looks, on made-up tasks whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.errors import UsageError
from teachmesh.reuse.matching import Match, SourceTask, find_pairs, match_classes
from teachmesh.reuse.text_encoders import NameComparer
from teachmesh.reuse.visual_similarity import compare, whitening

DIM, SEVEN = 40, ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
RANDOM = np.random.default_rng(0)
LOOKS = RANDOM.normal(size=(7, DIM))
"""What each of the seven classes looks like, apart from a task's style."""


def style(seed: int, order: list[int] | None = None, noise: float = 0.4) -> np.ndarray:
    """(7, D) means of the seven classes in one style, in an order."""
    random = np.random.default_rng(seed)
    looks = LOOKS if order is None else LOOKS[order]
    return np.asarray(5 * random.normal(size=DIM) + looks + noise * random.normal(size=(7, DIM)))


def task(
    means: np.ndarray | None, classes: tuple[str, ...] = SEVEN, name: str = "old"
) -> SourceTask:
    """An old task of a skill that ann taught."""
    return SourceTask(f"{name}-id", name, "ann", classes, means)


def match(
    classes: tuple[str, ...], known: SourceTask, means: np.ndarray | None, mode: str = "auto"
) -> tuple[tuple[Match, ...], ...]:
    """The matches of a new task with one old one, names compared as words."""
    transform = None if means is None else np.eye(DIM)
    return match_classes(
        classes, [known], NameComparer(), means=means, transform=transform, mode=mode
    )


def test_whitening_makes_the_covariance_the_identity() -> None:
    """Up to the ridge: W (S + r) W^T = 1."""
    factor = RANDOM.normal(size=(DIM, DIM))
    covariance = factor @ factor.T
    matrix = whitening(covariance)
    ridge = 0.1 * np.trace(covariance) / DIM * np.eye(DIM)
    np.testing.assert_allclose(matrix @ (covariance + ridge) @ matrix.T, np.eye(DIM), atol=1e-9)


def test_looks_are_compared_from_the_centre_of_each_task() -> None:
    """A common style changes no cosine."""
    one, other = style(1), style(2)
    plain = compare(one, other, np.eye(DIM)).cosine
    moved = compare(one + 100.0, other - 30.0, np.eye(DIM)).cosine
    np.testing.assert_allclose(plain, moved, atol=1e-9)


def test_equal_names_that_look_alike_match_by_both() -> None:
    """Same classes in another style: each finds itself."""
    found = match(SEVEN, task(style(1)), style(2))
    assert [row[0].class_name for row in found] == list(SEVEN)
    assert {row[0].by for row in found} == {"text+vision"}


def test_homonyms_are_separated_by_looks() -> None:
    """The names agree, the looks are somebody else's: nothing matches by name."""
    strangers = np.random.default_rng(9).normal(size=(7, DIM))
    assert all(not row for row in match(SEVEN, task(style(1)), strangers))
    by_name = match(SEVEN, task(style(1)), strangers, "text")
    assert all(row[0].by == "text" for row in by_name)


def test_other_names_for_the_same_looks_match_by_vision() -> None:
    """Names that mean nothing do not hinder; the order of the classes does not either."""
    order = [3, 1, 6, 0, 2, 5, 4]
    numbered = tuple(f"class {i}" for i in range(7))
    found = match(numbered, task(style(1)), style(2, order))
    assert [row[0].class_name for row in found] == [SEVEN[i] for i in order]
    assert {row[0].by for row in found} == {"vision"}


def test_without_images_only_names_count() -> None:
    """`match --by text` opens no image, and a skill without means cannot be looked at."""
    for found in (match(SEVEN, task(style(1)), None), match(SEVEN, task(None), style(2))):
        assert [row[0].class_name for row in found] == list(SEVEN)
        assert {row[0].by for row in found} == {"text"}


def test_a_meaningless_name_changes_only_its_own_match() -> None:
    """The other six are matched as before."""
    hostile = (*SEVEN[:6], "\U0001f600" * 9000)
    before, after = (match(names, task(style(1)), style(2)) for names in (SEVEN, hostile))
    assert after[:6] == before[:6]


def test_by_looks_alone_names_are_not_read() -> None:
    """Matching equal names gives what matching names that mean nothing gives, and no more."""
    likeness = compare(style(1), style(2), np.eye(DIM))
    found = find_pairs(np.eye(7), likeness, "vision")
    assert found == find_pairs(np.zeros((7, 7)), likeness, "vision")
    assert {by for *_, by in found} == {"vision"}
    assert find_pairs(np.eye(7), None, "vision") == []


def test_an_unknown_way_is_a_sentence() -> None:
    """It names what there is."""
    with pytest.raises(UsageError, match="auto, text, vision"):
        match(SEVEN, task(None), None, "smell")


def test_the_most_alike_of_equally_named_classes_comes_first() -> None:
    """Whatever their ids: the first match is what a head starts from."""
    near, far = task(style(1, noise=0.1), name="z-near"), task(style(3, noise=1.0), name="a-far")
    found = match_classes(
        SEVEN, [far, near], NameComparer(), means=style(2, noise=0.1), transform=np.eye(DIM)
    )
    for row in found:
        assert [match.score for match in row] == [1.0, 1.0]
        assert [match.task for match in row] == ["z-near", "a-far"]
        cosines = [match.cosine for match in row]
        assert cosines == sorted(cosines, key=lambda c: -(c or 0.0))


def test_of_equal_names_the_equally_spelled_is_the_match() -> None:
    """Two spellings in one task, one in the other: only the same spelling takes it."""
    found = match(("t_shirt", "TShirt"), task(None, ("dog", "TShirt")), None)
    assert [[m.class_name for m in row] for row in found] == [[], ["TShirt"]]
    found = match(("TShirt",), task(None, ("t_shirt", "TShirt")), None)
    assert [[m.class_name for m in row] for row in found] == [["TShirt"]]
