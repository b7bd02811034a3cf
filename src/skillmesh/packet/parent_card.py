"""Where the rows of a skill come from: parents on the card (paper, Sec. 7.2)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from skillmesh.errors import SkillRefused

MAX_PARENTS = 2048
"""Rows with a parent on one card; they share the header with everything else."""
MAX_CLASS_NAME = 128
_SKILL = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Parent:
    """One old class that one new class learned from.

    Attributes:
        class_name: the class of this skill.
        skill: id of the old skill, 64 hex digits.
        parent_class: the class of the old skill.
    """

    class_name: str
    skill: str
    parent_class: str


def parents_to_json(parents: Sequence[Parent]) -> list[list[str]]:
    """[[class, skill id, class there], ...]."""
    return [[parent.class_name, parent.skill, parent.parent_class] for parent in parents]


def parents_from_json(values: object) -> tuple[Parent, ...]:
    """Read a stranger's list; types are checked, names are not.

    Raises:
        SkillRefused: SCHEMA for anything but a list of triples of text with at least one entry: a
            skill without parents has no such key.
    """
    if type(values) is not list or not values:
        raise SkillRefused("SCHEMA", "expected 'parents' to be a list that is not empty")
    for row in values:
        if type(row) is not list or len(row) != 3 or not all(type(item) is str for item in row):
            raise SkillRefused("SCHEMA", "expected [class, skill, class there] in 'parents'")
    return tuple(Parent(*row) for row in values)


def check_parents(parents: Sequence[Parent], classes: Sequence[str]) -> None:
    """Accept parents that a reader can look up, in one spelling.

    Raises:
        SkillRefused: LIMIT for too many; VALUE for a class that this skill does not have, an id
            that is none, or another order than sorted without repetition; NAME for a name that
            cannot be shown.
    """
    if len(parents) > MAX_PARENTS:
        raise SkillRefused("LIMIT", f"expected at most {MAX_PARENTS} parents, got {len(parents)}")
    own = set(classes)
    rows = parents_to_json(parents)
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
