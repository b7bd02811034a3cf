"""`learn --max-bytes` and `skills shrink`: skills of any size in one bank."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.teaching.shrink_skill import shrink_task
from teachmesh.errors import UsageError
from teachmesh.learning.skill_bytes import PACKINGS, check_packs, packed, packing_of, signed_size
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.packet.codec import decode
from teachmesh.packet.skill import Skill
from tests.agent.test_grow_task import own_skill, part, run
from tests.conftest import write_task
from tests.learned_homes import LearnedHomes
from tests.packet.sample_skills import sample_skill


def answers(agent: Agent, folder: Path, task: str) -> float:
    """Return the accuracy without a task oracle on all images of a folder."""
    return agent.evaluate(folder, task=task, images="all").final


def test_a_skill_is_learned_within_the_given_bytes(tmp_path: Path, learned: LearnedHomes) -> None:
    """On the command line; the most accurate way that fits is chosen, and named."""
    warm, home = write_task(tmp_path, "warm"), learned.copy(tmp_path / "home", "cold")
    document = run("learn", warm, "--max-bytes", "6000", "--home", home)
    agent = Agent(home)
    small = own_skill(agent, "warm")
    size = len(agent.read(document["skill"]))
    assert size == document["size_bytes"] <= 6000
    chosen = packing_of(small)
    assert document["packing"] == str(chosen)
    assert chosen is not None
    better = PACKINGS[: PACKINGS.index(chosen)]
    full = own_skill(Agent(learned.copy(tmp_path / "full", "warm")), "warm")
    assert better
    assert all(signed_size(packed(full, packing, None)) > 6000 for packing in better)
    assert document["validation_accuracy"] == small.card.validation_accuracy
    assert answers(agent, warm, "warm") == 1.0  # in one bank with a skill of full size


def test_shrinking_makes_a_new_version_that_restore_undoes(
    tmp_path: Path, learned: LearnedHomes
) -> None:
    """The larger version can come back, and the task can still grow."""
    home = learned.copy(tmp_path / "home", "warm", "cold")
    agent = Agent(home)
    before = own_skill(agent, "warm")
    document = run("skills", "shrink", "warm", "--max-bytes", "7000", "--home", home)
    assert document["size_bytes"] <= 7000 < document["before_bytes"]
    small = own_skill(agent, "warm")
    assert small.card.replaces is not None
    assert document["packing"] == str(packing_of(small))
    again = run("skills", "shrink", "warm", "--max-bytes", "7000", "--home", home)
    assert (again["changed"], again["skill"]) == (False, document["skill"])
    grown = agent.learn(part(tmp_path, "more", {"red": slice(2)}), add_to="warm")
    assert grown.packing == document["packing"]
    assert grown.size_bytes <= 7000
    agent.restore("warm", 1)
    tensors = own_skill(agent, "warm").tensors
    assert tensors.keys() == before.tensors.keys()


def test_a_skill_without_statistics_is_shrunk_from_itself(
    tmp_path: Path, learned: LearnedHomes
) -> None:
    """Its accuracy is not measured again, so the card has none."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    for file in (tmp_path / "home" / "statistics").iterdir():
        file.unlink()
    done = shrink_task(agent, "warm", 6000)
    assert done.validation_accuracy is None
    assert done.size_bytes <= 6000


def test_a_packed_skill_survives_the_way_through_a_file(
    tmp_path: Path, learned: LearnedHomes
) -> None:
    """Bytes, anchor and latent sizes; and the same skill is packed in the same way twice."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    done = agent.shrink("warm", 6000)
    data = agent.read(done.skill_id)
    skill = decode(data).skill
    anchor = skill.anchor("moments")
    assert isinstance(anchor, MomentsAnchor)
    assert skill.latent_sizes() == (0, anchor.dim)
    assert signed_size(skill) >= len(data)
    assert Skill(skill.card, dict(skill.tensors)) == skill


def test_what_cannot_be_made_small_is_refused(tmp_path: Path, learned: LearnedHomes) -> None:
    """One sentence each: too few bytes, other methods, biases, and growth with another size."""
    home = learned.copy(tmp_path / "home", "warm")
    agent = Agent(home)
    warm = write_task(tmp_path, "warm")
    with pytest.raises(UsageError, match=r"expected at least \d+ bytes for the 3 classes"):
        agent.learn(warm, name="other", max_bytes=900)
    with pytest.raises(UsageError, match=r"expected at least \d+ bytes"):
        agent.shrink("warm", 900)
    for options in ({"method": "maha"}, {"bb": "auto"}, {"also": ("gmmc",)}):
        with pytest.raises(UsageError, match="--max-bytes with moments alone"):
            agent.learn(warm, name="other", max_bytes=9000, **options)
    with pytest.raises(UsageError, match="--add-to without --max-bytes"):
        agent.learn(warm, add_to="warm", max_bytes=9000)
    with pytest.raises(UsageError, match="moments without biases, got 'flowers' with gmmc"):
        check_packs(sample_skill())
