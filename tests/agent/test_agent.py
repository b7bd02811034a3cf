"""Invariants of an agent: it forgets nothing, overwrites nothing, and ignores the order."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.data.images import ImageRef
from teachmesh.data.loader import read_batch
from teachmesh.errors import DataError, SkillRefused, UsageError
from teachmesh.mapping.anchor_kinds import METHODS
from teachmesh.model.backbone import Latents
from teachmesh.packet.codec import decode
from teachmesh.packet.signing import is_signed, verify
from tests.conftest import write_task
from tests.learned_homes import LearnedHomes
from tests.model.nets import state_sha256


def _some_latents(agent: Agent, folder: Path) -> Latents:
    files = sorted(folder.rglob("*.png"))[::5]
    images = [ImageRef(file) for file in files]
    return agent.backbone.embed(read_batch(images, range(len(images)), agent.backbone.size).images)


@pytest.mark.parametrize("method", METHODS)
def test_learning_one_more_task_changes_no_answer_within_the_tasks_before(
    learned: LearnedHomes, tmp_path: Path, warm: Path, cold: Path, method: str
) -> None:
    """Invariant 4: a new task changes the choice of the task only, no bit of a task's decisions."""
    agent = Agent(learned.copy(tmp_path / "home", "warm", method=method), mapper=method)
    first = agent.find("warm").id
    latents = _some_latents(agent, warm)
    before = agent.sync().decide(latents)
    evidence = agent.sync().mapper.score(latents.multi).task if method == "moments" else None
    agent.learn(cold)
    after = agent.sync().decide(latents)
    task = after.skill_ids.index(first)
    assert np.array_equal(before.class_given(0), after.class_given(task))
    assert before.within[0].tobytes() == after.within[task].tobytes()
    assert before.familiarity[0].tobytes() == after.familiarity[task].tobytes()
    if evidence is not None:  # the paper's mappers use the covariance of all tasks
        found = agent.sync().mapper.score(latents.multi).task
        assert evidence[:, 0].tobytes() == found[:, task].tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_any_order_of_arrival_gives_bit_identical_agents(
    learned: LearnedHomes, tmp_path: Path, method: str
) -> None:
    """Invariant 3: in any order and with duplicates, students equal the teacher of all tasks."""
    folder = tmp_path / "tasks"
    paths = [write_task(folder, "warm"), write_task(folder, "cold")]
    home = learned.copy(tmp_path / "teacher", "warm", "cold", method=method)
    teacher = Agent(home, mapper=method)
    ids = [teacher.find(path.name).id for path in paths]
    ids.append(teacher.learn(paths[0], name="warm again", seed=5).skill_id)
    latents = _some_latents(teacher, folder)
    expected = teacher.sync().decide(latents)
    for number, order in enumerate(itertools.permutations(ids)):
        student = Agent(tmp_path / f"student{number}", mapper=method)
        for skill_id in (*order, order[0]):
            student.receive(teacher.read(skill_id), expected_id=skill_id)
            student.sync()
        found = student.sync().decide(latents)
        assert student.digest() == teacher.digest()
        assert found.skill_ids == expected.skill_ids
        assert found.joint().tobytes() == expected.joint().tobytes()
        for one, other in zip(found.familiarity, expected.familiarity, strict=True):
            assert one.tobytes() == other.tobytes()


def test_the_backbone_is_bit_identical_after_everything_an_agent_does(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Invariant 1: weights and fingerprint stay after learning and answering."""
    agent = Agent(tmp_path / "home")
    weights, fingerprint = state_sha256(agent.backbone), agent.backbone.fingerprint
    agent.learn(warm, also=("gmmc", "maha"))
    agent.learn(cold)
    agent.predict(cold)
    assert state_sha256(agent.backbone) == weights
    assert agent.backbone.fingerprint == fingerprint


def test_test_images_are_never_read_while_learning(tmp_path: Path, warm: Path) -> None:
    """Invariant 5: two tasks that differ in test images only give equal skills."""
    skills = []
    for number in range(2):
        root = tmp_path / f"root{number}" / "warm"
        for label in sorted(warm.iterdir()):
            files = sorted(label.iterdir())
            for split, part in (("train", files[:8]), ("val", files[8:10])):
                (root / split / label.name).mkdir(parents=True)
                for file in part:
                    (root / split / label.name / file.name).write_bytes(file.read_bytes())
            (root / "test" / label.name).mkdir(parents=True)
            test_image = files[10] if number == 0 else files[11]
            (root / "test" / label.name / "0.png").write_bytes(test_image.read_bytes())
        agent = Agent(tmp_path / f"home{number}")
        skill_id = agent.learn(root).skill_id
        skills.append(agent.bank.load(skill_id).skill.tensors)
    for name in skills[0]:
        assert np.array_equal(skills[0][name], skills[1][name])


def test_a_task_is_learned_twice_only_when_it_replaces_itself(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """The new skill names the skill it replaces; the old file stays in the bank."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    first = agent.find("warm").id
    with pytest.raises(UsageError, match="--replace"):
        agent.learn(warm)
    second = agent.learn(warm, replace=True, seed=1)
    assert agent.card(second.skill_id)["replaces"] == first
    usable = [info.id for info in agent.infos() if info.usable]
    assert usable == [second.skill_id]
    assert set(agent.bank.ids()) == {first, second.skill_id}


def test_two_authors_may_use_one_task_name(learned: LearnedHomes, tmp_path: Path) -> None:
    """Their display names are task@alias, and neither replaces the other."""
    alice, bob = (
        Agent(learned.copy(tmp_path / name, "warm", agent=name)) for name in ("alice", "bob")
    )
    mine, theirs = (agent.find("warm").id for agent in (alice, bob))
    alice.receive(bob.read(theirs))
    names = {info.display_name: info.id for info in alice.infos()}
    assert names == {f"warm@{alice.alias}": mine, f"warm@{bob.alias}": theirs}
    assert alice.find(f"warm@{bob.alias}").id == theirs
    assert alice.find("warm").id == mine
    carol = Agent(tmp_path / "carol")
    for agent, skill_id in ((alice, mine), (bob, theirs)):
        carol.receive(agent.read(skill_id))
    with pytest.raises(DataError, match=f"fits 2: name one of {', '.join(sorted(names))}"):
        carol.find("warm")


def test_a_skill_without_the_mappers_anchor_is_listed_with_the_reason(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Skills of several methods share a bank; the listing gives the reason for an unused one."""
    agent = Agent(tmp_path / "home")
    agent.learn(warm, also=("maha",))
    agent.learn(cold)
    by_maha = Agent(tmp_path / "home", mapper="maha")
    assert [info.task for info in by_maha.infos() if info.usable] == ["warm"]
    assert by_maha.unusable_reasons() == ["cold: carries no maha anchor (it has moments)"]


def test_the_card_holds_no_path_user_or_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A skill learned from /home/alice/... contains neither the user nor the path."""
    monkeypatch.setenv("USER", "alice-secret")
    folder = write_task(tmp_path / "home" / "alice-secret" / "photos", "warm")
    agent = Agent(tmp_path / "agent")
    data = agent.read(agent.learn(folder).skill_id)
    assert b"alice-secret" not in data
    assert str(tmp_path).encode() not in data


def test_predict_takes_files_folders_bytes_arrays_and_lists(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """Every input type gives one answer; a folder gives one answer per image."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    file = sorted((warm / "yellow").iterdir())[0]
    one = agent.predict_one(file)
    from PIL import Image

    with Image.open(file) as image:
        array = np.asarray(image.convert("RGB"))
    for asked in (str(file), file.read_bytes(), array):
        other = agent.predict_one(asked)
        assert other.class_name == one.class_name
        assert other.probability == pytest.approx(one.probability, abs=1e-6)
    many = agent.predict(warm)
    assert len(many) == 36
    json.dumps([answer.to_dict() for answer in many], allow_nan=False)


def test_probabilities_are_a_distribution_over_all_classes(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """The answer and all alternatives sum to one."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    answer = agent.predict_one(sorted((warm / "red").iterdir())[0], alternatives=10)
    total = answer.probability + sum(other.probability for other in answer.alternatives)
    assert total == pytest.approx(1)


def test_a_given_task_restricts_the_answer_to_its_classes(
    learned: LearnedHomes, tmp_path: Path, cold: Path
) -> None:
    """With `task=` only its classes are candidates; a typo gives an error with the nearest name."""
    agent = Agent(learned.copy(tmp_path / "home", "warm", "cold"))
    image = sorted((cold / "blue").iterdir())[0]
    answer = agent.predict_one(image, task="warm")
    assert answer.class_name in {"red", "orange", "yellow"}
    with pytest.raises(DataError, match="did you mean 'warm'"):
        agent.predict(image, task="wram")


def test_an_agent_without_skills_names_the_next_command(tmp_path: Path, warm: Path) -> None:
    """Without a skill, the error names the command that helps."""
    with pytest.raises(DataError, match="teachmesh learn"):
        Agent(tmp_path / "home").predict(warm)


def test_removing_a_skill_is_local_and_lasting(learned: LearnedHomes, tmp_path: Path) -> None:
    """A peer does not bring back what was removed here; a person who imports the file does."""
    alice, bob = Agent(learned.copy(tmp_path / "alice", "warm")), Agent(tmp_path / "bob")
    skill_id = alice.find("warm").id
    data = alice.read(skill_id)
    bob.receive(data, expected_id=skill_id)
    bob.remove(skill_id)
    with pytest.raises(SkillRefused, match="removed here"):
        bob.receive(data, expected_id=skill_id)
    assert bob.bank.ids() == []
    bob.receive(data)
    assert bob.bank.ids() == [skill_id]


def test_a_received_skill_is_decoded_and_verified_once(
    learned: LearnedHomes, tmp_path: Path
) -> None:
    """Admission hands the verified skill to the bank, which neither decodes nor verifies it."""
    alice, bob = Agent(learned.copy(tmp_path / "alice", "warm")), Agent(tmp_path / "bob")
    data = alice.read(alice.find("warm").id)
    counted = dict.fromkeys((decode.__code__, verify.__code__, is_signed.__code__), 0)

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in counted:
            counted[frame.f_code] += 1

    sys.setprofile(count)
    try:
        entry = bob.receive(data)
    finally:
        sys.setprofile(None)
    assert list(counted.values()) == [1, 1, 1]
    assert bob.read(entry.id) == data


def test_a_misspelt_method_names_the_right_one(tmp_path: Path) -> None:
    """The error for `momnets` suggests `moments`."""
    with pytest.raises(UsageError, match="did you mean 'moments'"):
        Agent(tmp_path / "home", mapper="momnets")


def test_a_misspelt_option_of_learn_names_the_right_one(tmp_path: Path, warm: Path) -> None:
    """A wrong keyword is one sentence with the nearest option, before an image is read."""
    with pytest.raises(UsageError, match=r"expected an option out of .*did you mean 'method'"):
        Agent(tmp_path / "home").learn(warm, metod="maha")
