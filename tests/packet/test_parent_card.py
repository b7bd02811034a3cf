"""Parents on the card: one spelling, and all of them can be looked up."""

from __future__ import annotations

import pytest

from teachmesh.errors import SkillRefused
from teachmesh.packet.card import Card
from teachmesh.packet.card_rules import check_card
from teachmesh.packet.codec import decode
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.parent_card import MAX_PARENTS, Parent, parents_from_json
from teachmesh.packet.signing import sign
from tests.packet.sample_skills import ALICE, sample_card, sample_skill

SKILL = "ab" * 32
CLASS = sample_card().classes[0]


def test_a_card_without_parents_has_no_such_key() -> None:
    """Skills without parents have the bytes of earlier versions."""
    assert "parents" not in sample_card().to_json()


def test_parents_survive_json() -> None:
    """Good parents pass the rules."""
    card = sample_card(parents=(Parent(CLASS, SKILL, "bicycle"), Parent(CLASS, SKILL, "bike")))
    check_card(card, DEFAULT_LIMITS)
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize(
    ("parents", "reason"),
    [
        ((Parent("nobody's class", SKILL, "bike"),), "VALUE"),
        ((Parent(CLASS, "ab", "bike"),), "VALUE"),
        ((Parent(CLASS, SKILL, "b"), Parent(CLASS, SKILL, "a")), "VALUE"),
        ((Parent(CLASS, SKILL, "a"),) * 2, "VALUE"),
        ((Parent(CLASS, SKILL, ""),), "NAME"),
        ((Parent(CLASS, SKILL, "x" * 129),), "NAME"),
        ((Parent(CLASS, SKILL, "a\nb"),), "NAME"),
        ((Parent(CLASS, SKILL, "a"),) * (MAX_PARENTS + 1), "LIMIT"),
    ],
)
def test_parents_of_a_stranger_are_checked(parents: tuple[Parent, ...], reason: str) -> None:
    """Unknown class, no id, another order, twice, nameless, too long, unprintable, too many."""
    with pytest.raises(SkillRefused) as refusal:
        check_card(sample_card(parents=parents), DEFAULT_LIMITS)
    assert refusal.value.reason == reason


def test_as_many_parents_as_are_allowed_travel_in_a_skill() -> None:
    """Through the bytes and back, within the limits of a card."""
    parents = tuple(Parent(CLASS, f"{i:064x}", "bicycle") for i in range(MAX_PARENTS))
    data = sign(sample_skill(parents=parents), ALICE).data
    assert decode(data).skill.card.parents == parents


def _columns(*columns: object) -> dict[str, object]:
    return dict(zip(("classes", "skills", "parent_classes"), columns, strict=True))


@pytest.mark.parametrize(
    "values",
    [
        *([], {}, "x", {"classes": ["a"]}),
        _columns([], [], []),
        _columns(["a"], [SKILL], []),
        _columns(["a"], [SKILL], [1]),
        _columns("a", [SKILL], ["b"]),
        {**_columns(["a"], [SKILL], ["b"]), "more": []},
    ],
)
def test_a_list_of_another_form_is_refused(values: object) -> None:
    """Also the empty one: there must be one spelling of "no parents"."""
    with pytest.raises(SkillRefused):
        parents_from_json(values)
