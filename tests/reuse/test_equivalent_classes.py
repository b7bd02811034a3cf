"""Equivalent classes in a bank of real skills."""

from __future__ import annotations

from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.reuse.equivalent_classes import EquivalentClasses
from tests.reuse.test_moments_transfer import CLASSES, METRIC, old_task, sample
from tests.reuse.test_source_skills import HEADED, MOMENTS, NAMES, OTHER, SMALL, headed, source


def equivalents(found: EquivalentClasses, class_name: str) -> list[tuple[str, int, float]]:
    """Return skill, label and similarity of the classes that are equivalent to one of the first."""
    return [(task.skill_id, label, score) for task, label, score in found.of(MOMENTS, class_name)]


def test_equal_names_are_equivalent_unless_looks_contradict() -> None:
    """Skills without class means are found by their names alone."""
    x, labels = sample(2, 300)
    homonyms = fit_moments(x, (labels + 2) % CLASSES, CLASSES, METRIC, rank=8)
    found = EquivalentClasses(
        [source(MOMENTS, old_task(1)), source(OTHER, old_task(2)), headed(HEADED)]
    )
    for label, name in enumerate(NAMES):
        assert equivalents(found, name) == [(OTHER, label, 1.0), (HEADED, label, 1.0)]
    contradicted = EquivalentClasses([source(MOMENTS, old_task(1)), source(SMALL, homonyms)])
    assert equivalents(contradicted, NAMES[0]) == []


def test_other_names_are_not_equivalent() -> None:
    """They are not even if the classes look the same."""
    others = ("tree", "car", "boat", "spoon", "horse", "lamp")
    found = EquivalentClasses(
        [source(MOMENTS, old_task(1)), source(OTHER, old_task(2), classes=others)]
    )
    assert equivalents(found, NAMES[0]) == []
