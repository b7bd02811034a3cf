"""A new version replaces the old one only if it is not worse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.agent import Agent
from teachmesh.agent.known_skills.replace_skill import (
    check_accuracy,
    check_classes,
    fall_interval,
    skill_to_replace,
)
from teachmesh.agent.teaching.combine_classes import combine_known
from teachmesh.bank.entry import BankEntry
from teachmesh.bank.store import Bank
from teachmesh.errors import UsageError
from teachmesh.packet.card import Card
from tests.conftest import COLOURS, write_task
from tests.packet.sample_skills import ALICE, sample_card, sample_signed

COUNTS = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda two: (min(two), max(two)))


def test_the_interval_covers_the_true_fall_in_95_of_100_draws() -> None:
    """Small and large samples, also at the edge, where Wald's interval covers far less."""
    draw = np.random.default_rng(0)
    for old, old_images, new, new_images in (
        (0.95, 30, 0.9, 30),
        (0.98, 9, 0.8, 40),
        (0.5, 200, 0.5, 20),
    ):
        covered = 0
        for _ in range(1000):
            right = draw.binomial(old_images, old), draw.binomial(new_images, new)
            low, high = fall_interval(int(right[0]), old_images, int(right[1]), new_images)
            covered += low <= old - new <= high
        assert 930 <= covered <= 1000


def test_the_interval_by_hand() -> None:
    """Of 98 images 97 are right and then 49 of 98: shares of 0.98 and 0.5, n of 100."""
    low, high = fall_interval(97, 98, 49, 98)
    half_width = 1.959963984540054 * (0.98 * 0.02 / 100 + 0.5 * 0.5 / 100) ** 0.5
    assert (low, high) == pytest.approx((0.48 - half_width, 0.48 + half_width), abs=1e-12)


@given(COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_laws_of_the_interval(old: tuple[int, int], new: tuple[int, int]) -> None:
    """It changes its sign with the order, and one more right answer lowers the fall."""
    low, high = fall_interval(*old, *new)
    assert low < high
    assert fall_interval(*new, *old) == pytest.approx((-high, -low), abs=1e-12)
    assert fall_interval(*old, *old)[0] < 0
    assert fall_interval(*old, 0, 0)[0] < 0  # no image, no evidence
    if new[0] < new[1]:
        better = sum(fall_interval(*old, new[0] + 1, new[1]))
        assert better < low + high


def card(right: int, images: int) -> Card:
    """A card with this result on validation images."""
    share = right / images if images else None
    return sample_card(validation_images=images, validation_accuracy=share)


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ((95, 100), (80, 100), True),
        ((95, 100), (90, 100), False),
        ((9, 9), (7, 9), False),
        ((9, 9), (3, 9), True),
        ((80, 100), (95, 100), False),
        ((95, 100), (0, 0), False),
        ((0, 0), (1, 100), False),
    ],
)
def test_a_fall_beyond_its_error_is_refused(
    old: tuple[int, int], new: tuple[int, int], refused: bool
) -> None:
    """The sentence has both figures; a fall within the error is no reason."""
    if not refused:
        check_accuracy(card(*old), card(*new))
        return
    with pytest.raises(UsageError) as error:
        check_accuracy(card(*old), card(*new))
    figures = [f"{100 * right / images:.1f} % of {images}" for right, images in (new, old)]
    assert f"{figures[0]} instead of {figures[1]}; the old version stays" in str(error.value)


def test_classes_may_be_added_and_written_otherwise_but_not_lost() -> None:
    """Names are compared as everywhere: in NFC and without case."""
    old = dataclasses.replace(BankEntry.of(sample_signed()), classes=("Caf\u00e9", "tea"))
    check_classes(old, ("cafe\u0301", "Tea", "milk"))
    with pytest.raises(UsageError, match="all 2 classes .* has 2 classes and lacks tea; the old"):
        check_classes(old, ("caf\u00e9", "milk"))


def test_one_of_two_active_versions_is_not_replaced_alone(tmp_path: Path) -> None:
    """A card names one predecessor; the other version would stay active without a word."""
    bank = Bank(tmp_path)
    ids = [bank.put(sample_signed(ALICE, seed)).id[:12] for seed in range(2)]
    with pytest.raises(UsageError, match=f"has 2 .{min(ids)}, {max(ids)}.; remove all but one"):
        skill_to_replace(bank, ALICE.public_key, "flowers", replace=True)


def test_a_task_that_another_process_learned_meanwhile_is_not_learned_twice(tmp_path: Path) -> None:
    """Two active versions of one author would both answer; the first one that is saved stays."""
    agent = Agent(tmp_path)
    agent.home.key_file.write_bytes(ALICE.to_bytes())
    begun = sample_signed(ALICE, 1).skill  # replaces nothing, because nothing was there
    first = agent.save(sample_signed(ALICE, 0).skill)
    with pytest.raises(UsageError, match=f"another process saved skill {first.id[:12]}, which"):
        agent.save(begun)
    assert agent.bank.ids() == [first.id]
    second = agent.save(sample_signed(ALICE, 1, replaces=first.id).skill)
    assert [entry.id for entry in agent.bank.active()] == [second.id]


def test_a_version_that_lacks_a_class_is_stopped_before_an_image_is_read(tmp_path: Path) -> None:
    """The old skill stays the only one of the bank, which peers see."""
    agent = Agent(tmp_path / "home")
    warm = write_task(tmp_path, "warm", per_class=3)
    first = agent.learn(warm)
    version = agent.bank.version()
    (warm / "red").rename(warm / "pink")
    understood: list[str] = []
    with pytest.raises(UsageError, match="all 3 classes .* has 3 classes and lacks red"):
        agent.learn(warm, replace=True, on_understood=understood.append)
    with pytest.raises(UsageError, match="--replace together with --force"):
        agent.learn(warm, name="other", force=True, on_understood=understood.append)
    assert understood == []
    assert (agent.bank.ids(), agent.bank.version()) == ([first.skill_id], version)


def test_a_combination_keeps_the_classes_that_it_replaces(tmp_path: Path) -> None:
    """`combine --replace` is compared as `learn --replace`."""
    agent = Agent(tmp_path / "home")
    agent.learn(write_task(tmp_path, "warm", per_class=3))
    classes = list(COLOURS["warm"])
    combine_known(agent, "mix", classes, encoder="names")
    ids = agent.bank.ids()
    with pytest.raises(UsageError, match="all 3 classes of 'mix' .* lacks yellow"):
        combine_known(agent, "mix", classes[:2], encoder="names", replace=True)
    with pytest.raises(UsageError, match="--replace together with --force"):
        combine_known(agent, "other", classes[:2], encoder="names", force=True)
    assert agent.bank.ids() == ids
    done = combine_known(agent, "mix", classes[:2], encoder="names", replace=True, force=True)
    assert len(done.classes) == 2
