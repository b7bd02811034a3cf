"""Images that resemble no known task: true, false, or not decidable, with a stated error rate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.data.tasks import read_task
from teachmesh.errors import UsageError
from tests.conftest import write_task
from tests.learned_homes import LearnedHomes


@pytest.fixture
def agent(learned: LearnedHomes, tmp_path: Path) -> Agent:
    """An agent that learned the task warm."""
    return Agent(learned.copy(tmp_path / "home", "warm"))


def strange_images(count: int) -> list[np.ndarray]:
    """Draw coarse black and white noise, which resembles no task of colours."""
    rng = np.random.default_rng(3)
    blocks = 255 * rng.integers(0, 2, (count, 12, 12, 1), dtype=np.uint8)
    return list(blocks.repeat(8, axis=1).repeat(8, axis=2).repeat(3, axis=3))


def threshold_by_hand(agent: Agent, skill_id: str, false_alarms: float) -> float:
    """Return the r-th lowest held-out score of a skill, r = floor(a (n + 1))."""
    sent = agent.bank.load(skill_id).skill.tensors["held_out.moments"]
    images, lowest = int(sent[0]), sent[3:]
    return float(lowest[int(false_alarms * (images + 1)) - 1])


@pytest.mark.parametrize("false_alarms", [0.05, 0.1, 0.25])
def test_an_image_is_unknown_below_the_rank_of_the_rate(
    agent: Agent, warm: Path, cold: Path, false_alarms: float
) -> None:
    """The threshold is one of the scores in the skill; the answer names the nearest class."""
    asked: list[str | np.ndarray] = [str(warm), str(cold), *strange_images(8)]
    answers = agent.predict_many(asked, false_alarms=false_alarms).predictions
    threshold = threshold_by_hand(agent, answers[0].skill_id, false_alarms)
    assert [p.unknown for p in answers] == [p.familiarity < threshold for p in answers]
    assert len({p.unknown for p in answers}) == 2
    for prediction in answers:
        assert prediction.unknown_reason == ""
        assert (prediction.task, prediction.alias) == ("warm", agent.alias)
        assert str(prediction).startswith("unknown, nearest: ") == prediction.unknown


def test_strange_images_are_unknown_and_known_ones_are_not(agent: Agent, warm: Path) -> None:
    """Images of the task include those that it was learned from."""
    strange = agent.predict_many(strange_images(20)).predictions
    known = agent.predict_many(str(warm)).predictions
    assert all(p.unknown for p in strange)
    assert np.mean([bool(p.unknown) for p in known]) <= 0.1
    assert max(p.familiarity for p in strange) < np.median([p.familiarity for p in known])


def test_a_higher_rate_calls_more_images_unknown(agent: Agent, warm: Path, cold: Path) -> None:
    """No image of a lower rate is missing at a higher one; everything else stays."""
    asked = [str(warm), str(cold)]
    rates = (0.04, 0.1, 0.25)
    answers = [agent.predict_many(asked, false_alarms=rate).predictions for rate in rates]
    unknown = [{i for i, p in enumerate(part) if p.unknown} for part in answers]
    assert unknown[0] <= unknown[1] <= unknown[2]
    familiarity = [[p.familiarity for p in part] for part in answers]
    assert familiarity[0] == familiarity[1] == familiarity[2]


def test_another_skill_changes_no_bit_of_familiarity(agent: Agent, warm: Path, cold: Path) -> None:
    """The verdict depends on the skill that decides; another task can only decide instead."""
    before = agent.predict_many(str(warm)).predictions
    agent.learn(cold)
    after = agent.predict_many(str(warm)).predictions
    same = [(b, a) for b, a in zip(before, after, strict=True) if a.task == "warm"]
    assert len(same) > 30
    for one, other in same:
        assert (one.familiarity, one.unknown) == (other.familiarity, other.unknown)
        assert one.class_name == other.class_name


@pytest.mark.parametrize(
    ("false_alarms", "reason"),
    [
        (0.01, "99 are needed for 1 %"),
        (0.03, "33 are needed for 3 %"),
    ],
)
def test_too_few_images_for_the_rate_are_a_reason(
    agent: Agent, warm: Path, false_alarms: float, reason: str
) -> None:
    """`unknown` is None, in JSON null; familiarity is stated all the same."""
    reason = f"{len(read_task(warm).train)} held-out images, {reason}"
    usual = agent.predict_many(str(warm)).predictions
    answers = agent.predict_many(str(warm), false_alarms=false_alarms)
    for before, prediction in zip(usual, answers.predictions, strict=True):
        assert prediction.unknown is None
        assert prediction.unknown_reason == reason
        assert prediction.familiarity == before.familiarity
        assert not str(prediction).startswith("unknown")
    document = json.loads(json.dumps(answers.to_json(), allow_nan=False))
    for entry, prediction in zip(document["predictions"], answers.predictions, strict=True):
        assert entry["unknown"] is None
        assert entry["unknown_reason"] == reason
        assert entry["familiarity"] == prediction.familiarity


def test_a_task_of_a_few_images_cannot_say_at_the_usual_rate(tmp_path: Path) -> None:
    """Fifteen training images carry a rate of 1 / 16, but not one of 5 %."""
    agent = Agent(tmp_path / "home")
    agent.learn(write_task(tmp_path / "tasks", "warm", per_class=5), split=(0, 0))
    image = strange_images(1)[0]
    usual, lax = agent.predict_one(image), agent.predict_one(image, false_alarms=1 / 16)
    assert usual.unknown is None
    assert usual.unknown_reason == "15 held-out images, 19 are needed for 5 %"
    assert lax.unknown is True


@pytest.mark.parametrize("method", ["gmmc", "maha"])
def test_other_methods_judge_by_validation_images(
    learned: LearnedHomes, tmp_path: Path, warm: Path, method: str
) -> None:
    """A few validation images carry a rate of 25 %, the highest that can be chosen."""
    agent = Agent(learned.copy(tmp_path / "home", "warm", method=method), mapper=method)
    image = strange_images(1)[0]
    usual, lax = agent.predict_one(image), agent.predict_one(image, false_alarms=0.25)
    assert (usual.unknown, lax.unknown) == (None, True)
    count = len(read_task(warm).validation)
    assert usual.unknown_reason == f"{count} held-out images, 19 are needed for 5 %"


def test_a_given_task_is_the_one_that_judges(
    learned: LearnedHomes, tmp_path: Path, cold: Path
) -> None:
    """Images of another task are known in a bank with both tasks, and unknown to the given one."""
    agent = Agent(learned.copy(tmp_path / "home", "warm", "cold"))
    free = agent.predict_many(str(cold)).predictions
    given = agent.predict_many(str(cold), task="warm").predictions
    assert {p.task for p in given} == {"warm"}
    assert np.mean([bool(p.unknown) for p in free]) <= 0.1
    assert np.mean([bool(p.unknown) for p in given]) >= 0.9


@pytest.mark.parametrize("rate", [0.0, -0.05, 0.26, 0.5, 1.0, float("nan"), float("inf")])
def test_a_rate_that_is_not_possible_is_refused_before_the_images(
    agent: Agent, tmp_path: Path, rate: float
) -> None:
    """The file does not exist and is never looked for."""
    missing = str(tmp_path / "nothing.jpg")
    for act in (agent.predict, agent.predict_many):
        with pytest.raises(UsageError, match=r"above 0 and up to 0\.25, got"):
            act(missing, false_alarms=rate)
