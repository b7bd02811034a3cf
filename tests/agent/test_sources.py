"""Source skills of a new task: all of its backbone, except those that saw its images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from teachmesh.agent import Agent
from teachmesh.agent.teaching.combine_classes import combine_known
from teachmesh.agent.teaching.learn_task import taken_by
from teachmesh.agent.teaching.match_task import match_folder
from tests.learned_homes import LearnedHomes
from tests.packet.sample_skills import sample_card


def test_sources_do_not_depend_on_the_mapper_that_answers(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Every active skill of the backbone is a source, with any anchor."""
    agent = Agent(tmp_path / "home")
    ids = [agent.learn(warm, method="maha").skill_id, agent.learn(cold).skill_id]
    for method in ("moments", "gmmc", "maha"):
        sources = Agent(tmp_path / "home", mapper=method).sources()
        assert [source.skill_id for source in sources] == sorted(ids)
        assert {source.task for source in sources} == {"warm", "cold"}
    other = dataclasses.replace(agent.catalogue(), fingerprint="0" * 64)
    assert other.matchable() == []
    reasons = sorted(other.unmatchable_reasons())
    assert [reason.partition(":")[0] for reason in reasons] == ["cold", "warm"]
    assert all("made with backbone embedded" in reason for reason in reasons)
    assert agent.catalogue().unmatchable_reasons() == []


def test_a_task_that_is_learned_again_excludes_skills_that_saw_its_images(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """Earlier versions and skills derived from them are excluded; other authors' are not."""
    agent, peer = Agent(learned.copy(tmp_path / "home", "warm")), Agent(tmp_path / "peer")
    combine_known(agent, "mix", ["red", "yellow"], encoder="names")
    assert match_folder(agent, warm, mode="text", encoder="names").n_known == 0
    for seed in (1, 2):  # at the second time, what mix came of is no longer active itself
        again = agent.learn(warm, replace=True, seed=seed, reuse="auto", encoder="names")
        assert again.reuse is not None
        assert (again.reuse.tasks, again.reuse.known) == (0, 0)
    alone = peer.bank.load(peer.learn(warm, seed=2).skill_id).skill
    found = agent.bank.load(again.skill_id).skill
    for name, tensor in alone.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)
    agent.receive(peer.read(peer.infos()[0].id))
    assert match_folder(agent, warm, mode="text", encoder="names").n_known == 1


def test_a_combination_is_no_source_if_its_parents_are(
    learned: LearnedHomes, tmp_path: Path, cold: Path
) -> None:
    """It adds nothing to its parents, but it is a source for an agent without them."""
    agent, peer = Agent(learned.copy(tmp_path / "home", "warm")), Agent(tmp_path / "peer")
    mixed = [combine_known(agent, name, ["red", "yellow"], encoder="names") for name in "ab"]
    assert len(agent.sources()) == 3
    assert [source.task for source in agent.sources_for("new")] == ["warm"]
    assert match_folder(agent, cold, mode="text", encoder="names").n_known == 1
    for combination in mixed:
        peer.receive(agent.read(combination.skill_id))
    assert {source.task for source in peer.sources_for("new")} == {"a", "b"}


def test_the_card_shows_the_transferred_parts() -> None:
    """The part of the skill's own method comes first, rows of a further head second."""
    gain, slope, start = ({f"reuse_{name}": 1.0} for name in ("gain", "slope", "start_gain"))
    for method, numbers, expected in (
        ("moments", {}, "nothing"),
        ("moments", gain, "covariance"),
        ("moments", gain | slope, "classes"),
        ("moments", gain | start, "covariance"),
        ("moments", start, "rows"),
        ("maha", gain | slope | start, "rows"),
        ("maha", gain | slope, "classes"),
    ):
        assert taken_by(sample_card(method=method, calibration=numbers)) == expected
