"""The parents on a card: old classes from which new classes were learned (paper, Sec. 7.2)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from teachmesh.errors import SkillRefused

MAX_PARENTS = 2048
"""Maximum number of parents on one card, so that the header has space for other data too."""
MAX_CLASS_NAME = 128
_KEYS = ("classes", "skills", "parent_classes")
_SKILL = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Parent:
    """An old class from which a new class was learned.

    Attributes:
        class_name: name of the new class in this skill.
        skill: id of the old skill, 64 hex digits.
        parent_class: name of the old class in the old skill.
    """

    class_name: str
    skill: str
    parent_class: str


def parents_to_json(parents: Sequence[Parent]) -> dict[str, list[str]]:
    """Return three parallel lists, so any number of parents needs the same number of brackets."""
    return {
        "classes": [parent.class_name for parent in parents],
        "skills": [parent.skill for parent in parents],
        "parent_classes": [parent.parent_class for parent in parents],
    }


def parents_from_json(values: object) -> tuple[Parent, ...]:
    """Read parents from untrusted lists; check the types, but not the names.

    Raises:
        SkillRefused: SCHEMA unless the value is three lists of strings of equal length. Empty lists
            are rejected too, because the JSON of a card without parents lacks the whole section.
    """
    if type(values) is not dict or values.keys() != set(_KEYS):
        raise SkillRefused("SCHEMA", f"expected {', '.join(_KEYS)} in 'parents'")
    columns = [values[key] for key in _KEYS]
    for column in columns:
        if type(column) is not list or not all(type(item) is str for item in column):
            raise SkillRefused("SCHEMA", "expected lists of text in 'parents'")
    if not columns[0] or any(len(column) != len(columns[0]) for column in columns):
        raise SkillRefused("SCHEMA", "expected lists of one length in 'parents', none empty")
    return tuple(Parent(*row) for row in zip(*columns, strict=True))


def check_parents(parents: Sequence[Parent], classes: Sequence[str]) -> None:
    """Check that parents have valid classes and ids, are sorted and are not repeated.

    Raises:
        SkillRefused: LIMIT for too many parents. VALUE for a class that this skill does not have,
            an invalid id, or unsorted or repeated parents. NAME for an invalid old class name.
    """
    if len(parents) > MAX_PARENTS:
        raise SkillRefused("LIMIT", f"expected at most {MAX_PARENTS} parents, got {len(parents)}")
    own = set(classes)
    rows = [(parent.class_name, parent.skill, parent.parent_class) for parent in parents]
    if any(one >= other for one, other in itertools.pairwise(rows)):
        raise SkillRefused("VALUE", "expected sorted parents, none twice")
    for parent in parents:
        if parent.class_name not in own:
            raise SkillRefused("VALUE", "a parent on the card belongs to no class of the skill")
        if not _SKILL.fullmatch(parent.skill):
            raise SkillRefused("VALUE", "expected 64 lower-case hex digits for a parent's skill")
        name = parent.parent_class
        if not 0 < len(name) <= MAX_CLASS_NAME or not name.isprintable():
            raise SkillRefused("NAME", "expected a short printable name of a parent's class")
