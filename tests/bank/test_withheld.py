"""Reasons to withhold a skill from peers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from teachmesh.bank.withheld import (
    Reason,
    SharePolicy,
    Withheld,
    describe_withheld,
    reason_to_withhold,
)
from teachmesh.errors import StorageError
from teachmesh.packet.card import Card
from teachmesh.packet.parent_card import Parent
from tests.packet.sample_skills import sample_card

OLD, SOURCE = "0" * 64, "a" * 64
NEW = sample_card()
FEW = replace(NEW, images_per_class=(*NEW.images_per_class[:-1], 9))
ENOUGH = replace(NEW, images_per_class=(10,) * len(NEW.classes))


def _version(card: Card) -> Card:
    return replace(card, replaces=OLD)


def _reason(
    card: Card,
    policy: SharePolicy,
    old: Card | None = None,
    *,
    before: Reason | None = None,
    source: Reason | None = None,
) -> str | None:
    """Decide about a card, with reasons for the version that it replaces and for its source."""
    known = {OLD: before, SOURCE: source}
    reasons = {skill: reason for skill, reason in known.items() if reason is not None}
    return reason_to_withhold(card, policy, old, reasons)


@pytest.mark.parametrize(
    ("policy", "few", "expected"),
    [
        (SharePolicy(), False, None),
        (SharePolicy(), True, "few"),
        (SharePolicy(allow_few=True), True, None),
        (SharePolicy("ask"), False, "ask"),
        (SharePolicy("ask"), True, "few"),
        (SharePolicy("none", allow_few=True), True, "none"),
        (SharePolicy(private=True, allow_few=True), False, "private"),
    ],
)
def test_the_settings_decide_about_a_new_task(
    policy: SharePolicy, few: bool, expected: str | None
) -> None:
    """Ten images per class are enough, nine are not."""
    assert _reason(FEW if few else ENOUGH, policy) == expected


@pytest.mark.parametrize(
    ("before", "policy", "expected"),
    [
        (None, SharePolicy("ask"), None),
        (None, SharePolicy("none"), "none"),
        (None, SharePolicy(private=True), "private"),
        ("private", SharePolicy(), "private"),
        ("ask", SharePolicy(allow_few=True), "ask"),
        ("none", SharePolicy(), "none"),
        ("unshared", SharePolicy(), "private"),
        ("few", SharePolicy(), None),
        ("few", SharePolicy("ask"), "ask"),
    ],
)
def test_a_new_version_follows_the_earlier_one(
    before: Reason | None, policy: SharePolicy, expected: str | None
) -> None:
    """It is shared if that was, unless the person says otherwise; and the other way round."""
    assert _reason(_version(ENOUGH), policy, ENOUGH, before=before) == expected


def test_small_classes_stay_shared_only_where_they_were_allowed() -> None:
    """A shared version with few images was allowed; one with enough images was not asked about."""
    assert _reason(_version(FEW), SharePolicy(), FEW) is None
    assert _reason(_version(FEW), SharePolicy(), ENOUGH) == "few"
    assert _reason(_version(FEW), SharePolicy(), FEW, before="few") == "few"


def test_a_skill_that_names_a_private_one_stays_with_it() -> None:
    """Its card has the id and class names of the source."""
    learned = replace(ENOUGH, parents=(Parent(ENOUGH.classes[0], SOURCE, "secret class"),))
    assert _reason(learned, SharePolicy(), source="private") == "source"
    assert _reason(learned, SharePolicy()) is None


def test_the_file_is_seen_by_all_and_damage_shares_nothing(tmp_path: Path) -> None:
    """Another process sees each change at once."""
    mine, theirs = Withheld(tmp_path), Withheld(tmp_path)
    assert theirs.reasons() == {}
    mine.add([OLD], "private")
    mine.add([SOURCE], "unshared")
    assert theirs.reasons() == {OLD: "private", SOURCE: "unshared"}
    assert theirs.secret_ids() == {OLD}
    theirs.drop([OLD])
    assert mine.reasons() == {SOURCE: "unshared"}
    path = tmp_path / "withheld.json"
    assert path.stat().st_mode & 0o777 == 0o600
    for damaged in (path.read_text()[:-3], path.read_text().replace("unshared", "whatever")):
        path.write_text(damaged)
        with pytest.raises(StorageError, match="is damaged; restore it from a backup"):
            Withheld(tmp_path).reasons()


def test_every_reason_names_the_next_command() -> None:
    """A person can share each of them."""
    reasons: tuple[Reason, ...] = ("private", "ask", "none", "few", "source", "unshared")
    for reason in reasons:
        assert "teachmesh skills share screws" in describe_withheld("screws", reason)
