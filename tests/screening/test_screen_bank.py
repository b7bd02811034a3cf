"""Verdicts about the skills of a bank: they begin, they hold and they end."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.moments import SMALL_BANK
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.screening.capture import MOST_SYNTHETIC
from teachmesh.screening.screen_skills import MOST_CLASSES, WIDEST
from teachmesh.screening.synthetic_images import synthetic_images
from tests.screening.drawn_tasks_bank import DIM, DrawnBank, drawn_anchor, skill_of, with_means

Change = Callable[[MomentsAnchor], MomentsAnchor]


def wide(anchor: MomentsAnchor) -> MomentsAnchor:
    """Give a task more variance than honest tasks have."""
    return dataclasses.replace(anchor, rest=np.array([1.1 * WIDEST], np.float32))


HOSTILE: dict[str, tuple[Change, str]] = {
    "a copy": (lambda a: a, "DUPLICATE"),
    "scaled down": (lambda a: with_means(0.9 * a.class_means()), "DUPLICATE"),
    "scaled up": (lambda a: with_means(1.3 * a.class_means()), "DUPLICATE"),
    "one class": (lambda a: with_means(a.class_means()[1:2]), "DUPLICATE"),
    "half of it and more": (
        lambda a: with_means(np.vstack([a.class_means()[::2], np.eye(4, DIM)])),
        "DUPLICATE",
    ),
    "wide": (wide, "WIDE"),
    "many classes": (lambda _a: drawn_anchor(5, MOST_CLASSES + 1), "CLASSES"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_skill_that_harms_an_honest_one_is_quarantined(attack: str) -> None:
    """The honest skills stay in use."""
    change, code = HOSTILE[attack]
    bank = DrawnBank()
    honest = [skill_of(f"task {i}", drawn_anchor(i), f"author {i}") for i in range(4)]
    bank.put(*honest)
    bank.put(skill_of("bad", change(drawn_anchor(2)), "mallory"))
    assert bank.codes() == {**{f"task {i}": "" for i in range(4)}, "bad": code}
    assert set(bank.student.skill_ids) == {skill.id for skill in honest}
    if code == "DUPLICATE":
        assert bank.verdicts.quarantined()[max(bank.skills, key=list(bank.skills).index)].against


def test_a_skill_that_is_no_near_duplicate_is_quarantined_if_it_takes_images() -> None:
    """Short means in other directions are close, although the angles between them are large."""
    axes = 2.0 * np.eye(7, DIM)
    bank = DrawnBank()
    bank.put(skill_of("task", with_means(axes[:1]), "alice"))
    bank.put(skill_of("taker", with_means(axes[1:]), "mallory"))
    assert bank.codes() == {"task": "", "taker": "CAPTURE"}


def test_a_large_bank_finds_the_copied_skill() -> None:
    """The nearest tasks are searched, so a copy is found among many."""
    bank = DrawnBank()
    honest = [skill_of(f"task {i}", drawn_anchor(i), f"author {i}") for i in range(SMALL_BANK + 6)]
    bank.put(*honest)
    assert not any(bank.codes().values())
    bank.put(skill_of("bad", with_means(1.1 * drawn_anchor(33).class_means()), "mallory"))
    assert bank.codes()["bad"] == "DUPLICATE"
    held = bank.verdicts.quarantined()
    assert [verdict.against for verdict in held.values()] == [honest[33].id]


def test_skills_of_one_author_are_not_compared() -> None:
    """An author may teach a task twice, and replace a skill."""
    bank = DrawnBank()
    first = skill_of("task", drawn_anchor(1), "alice")
    bank.put(first, skill_of("again", drawn_anchor(1), "alice"))
    assert bank.codes() == {"task": "", "again": ""}


def test_a_new_version_is_compared_with_the_others_only() -> None:
    """The copy of the old version stays in quarantine, now because of the new version."""
    bank = DrawnBank()
    old = skill_of("task", drawn_anchor(1), "alice")
    bank.put(old)
    copy = skill_of("copy", drawn_anchor(1), "mallory")
    bank.put(copy)
    new = skill_of("task", with_means(1.02 * drawn_anchor(1).class_means()), "alice", old.id)
    del bank.skills[old.id]  # replaced
    bank.put(new)
    assert bank.verdicts.quarantined()[copy.id].against == new.id
    assert bank.student.skill_ids == (new.id,)


def test_a_harmless_skill_that_becomes_a_copy_is_quarantined() -> None:
    """A new version has no right to the place of the old one."""
    bank = DrawnBank()
    first = skill_of("sleeper", drawn_anchor(7), "mallory")
    bank.put(first)
    honest = skill_of("task", drawn_anchor(1), "alice")
    bank.put(honest)
    del bank.skills[first.id]
    bank.put(skill_of("sleeper", drawn_anchor(1), "mallory", first.id))
    assert bank.codes() == {"task": "", "sleeper": "DUPLICATE"}


def test_an_own_skill_comes_before_a_copy_that_came_first() -> None:
    """The agent's own author is exempt, and displaces others."""
    bank = DrawnBank(own="alice")
    copy = skill_of("copy", drawn_anchor(1), "mallory")
    bank.put(copy)
    assert bank.codes() == {"copy": ""}
    bank.put(skill_of("task", drawn_anchor(1), "alice"))
    assert bank.codes() == {"copy": "DUPLICATE", "task": ""}


def test_a_released_skill_is_used_and_harms_no_other_verdict() -> None:
    """Both are used then; releasing never puts the other one into quarantine."""
    bank = DrawnBank()
    honest, copy = (skill_of(n, drawn_anchor(1), n) for n in ("alice", "mallory"))
    bank.put(honest)
    bank.put(copy)
    bank.release(copy)
    assert bank.codes() == {"alice": "", "mallory": ""}
    assert set(bank.student.skill_ids) == {honest.id, copy.id}


def test_quarantine_ends_with_the_skill_that_was_harmed() -> None:
    """Without the honest task, nothing is copied."""
    bank = DrawnBank()
    honest, copy = (skill_of(n, drawn_anchor(1), n) for n in ("alice", "mallory"))
    bank.put(honest)
    bank.put(copy)
    bank.remove(honest)
    assert bank.codes() == {"mallory": ""}


def test_of_equal_skills_the_first_to_arrive_is_used_also_if_they_are_screened_together() -> None:
    """No field of a card decides, because its author chooses all of them."""
    for order in permutations([skill_of(f"task {i}", drawn_anchor(1), f"{i}") for i in range(3)]):
        bank = DrawnBank()
        bank.put(*order)
        assert bank.student.skill_ids == (order[0].id,)


def test_a_skill_that_a_trusted_agent_doubts_comes_after_similar_ones() -> None:
    """Then all orders of arrival give the same skills, also if the doubt comes last."""
    copy, honest, other = (
        skill_of(f"task {seed} of {author}", drawn_anchor(seed), author)
        for seed, author in ((1, "mallory"), (1, "alice"), (2, "carol"))
    )
    for order in permutations((copy, honest, other)):
        for doubt_comes_last in (False, True):
            bank = DrawnBank()
            bank.doubted = frozenset() if doubt_comes_last else frozenset({copy.id, other.id})
            for skill in order:
                bank.put(skill)
            bank.doubted = frozenset({copy.id, other.id})
            bank.screen()
            assert set(bank.student.skill_ids) == {honest.id, other.id}
            assert bank.verdicts.quarantined()[copy.id].against == honest.id


def test_doubts_about_both_leave_the_first_one() -> None:
    """Trusted agents that disagree decide nothing; an own skill is never doubted."""
    one, two = (skill_of(f"task of {a}", drawn_anchor(1), a) for a in ("alice", "mallory"))
    for own, order, stays in (
        ("nobody", (one, two), one),
        ("nobody", (two, one), two),
        ("alice", (two, one), one),
    ):
        bank = DrawnBank(own=own)
        bank.doubted = frozenset({one.id, two.id})
        for skill in order:
            bank.put(skill)
        assert bank.student.skill_ids == (stays.id,)


def near_copy(number: int) -> VerifiedSkill:
    """Return a skill with one class at such a distance that it is near few drawn images."""
    random = np.random.default_rng(number)
    step = random.normal(size=DIM)
    mean = drawn_anchor(1).class_means()[number % 3] + 15 * step / np.linalg.norm(step)
    return skill_of(f"taker {number}", with_means(mean[None]), f"mallory {number}")


def test_many_authors_together_take_no_more_than_one_may() -> None:
    """Each alone is near one or two synthetic images of a task; together they may not be more."""
    victim = skill_of("task", drawn_anchor(1), "alice")
    takers = []
    for number in range(40):
        alone = DrawnBank()
        alone.put(victim)
        alone.put(taker := near_copy(number))
        takers += [taker] if alone.verdicts.by_id[taker.id].takes else []
    assert len(takers) > MOST_SYNTHETIC
    bank = DrawnBank()
    bank.put(victim)
    for taker in takers:
        bank.put(taker)
    counts = [verdict.takes.get(victim.id, 0) for verdict in bank.verdicts.by_id.values()]
    assert 0 < sum(counts) <= MOST_SYNTHETIC
    assert set(bank.codes().values()) == {"", "CAPTURE"}


def test_synthetic_images_are_unknown_before_the_newcomer_is_signed() -> None:
    """Otherwise a skill could avoid them; the same two skills give the same images anywhere."""
    anchor, one, other = drawn_anchor(1), "a" * 64, "b" * 64
    images = synthetic_images(anchor, one, other)
    assert (images == synthetic_images(anchor, one, other)).all()
    assert not np.isclose(images, synthetic_images(anchor, one, "c" * 64)).any()


def between(anchor: MomentsAnchor, share: float) -> MomentsAnchor:
    """Move class means towards the centre of their task."""
    means = anchor.class_means()
    return with_means(share * means + (1 - share) * means.mean(axis=0))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75])
def test_a_skill_between_the_classes_of_a_task_is_quarantined(share: float) -> None:
    """It has less evidence at most images, but takes those that lie between classes."""
    centre = 40 * np.eye(1, DIM)
    task = with_means(centre + 0.5 * drawn_anchor(1, 6).class_means())
    bank = DrawnBank()
    bank.put(skill_of("task", task, "alice"))
    bank.put(skill_of("between", between(task, share), "mallory"))
    assert bank.codes()["between"] in ("CAPTURE", "DUPLICATE")
