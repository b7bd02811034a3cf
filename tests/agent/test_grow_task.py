"""A task that grew has the skill that learning all its images at once would have made."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.grow_tasks import content
from teachmesh.agent import Agent
from teachmesh.cli.main import app
from teachmesh.errors import DataError, StorageError, TeachmeshError, UsageError
from teachmesh.learning.statistics_file import write_statistics
from teachmesh.packet.skill import Skill
from tests.conftest import COLOURS, write_task
from tests.learned_homes import LearnedHomes


def run(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Run a command with --json in this process."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output + result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def part(folder: Path, name: str, chosen: Mapping[str, slice]) -> Path:
    """Copy some images of each class of the warm task into a folder of this name."""
    source = write_task(folder / "whole", "warm")
    for label, rows in chosen.items():
        target = folder / name / label
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted((source / label).iterdir())[rows]:
            shutil.copy(file, target / f"{name}-{file.name}")
    return folder / name


def own_skill(agent: Agent, task: str) -> Skill:
    """Return the agent's active skill of a task."""
    return agent.bank.load(agent.find(task).id).skill


def test_more_images_and_new_classes_make_the_very_skill(tmp_path: Path) -> None:
    """On the command line: two classes, then more images and a third class, some photos twice."""
    first = part(tmp_path, "first", {"red": slice(0, 7), "orange": slice(2, 12)})
    more = {"red": slice(5, 12), "orange": slice(0, 3)}
    second = part(tmp_path, "second", more)
    third = part(tmp_path, "third", {"yellow": slice(None)})
    one, other = tmp_path / "one", tmp_path / "other"
    whole = run("learn", tmp_path / "whole" / "warm", "--name", "colours", "--home", one)
    run("learn", first, "--name", "colours", "--home", other)
    document = run("learn", second, "--add-to", "colours", "--home", other)
    assert "3 images known already: counted once" in document["warnings"]
    found = run("learn", third, "--add-to", "colours", "--home", other)
    assert found["classes"] == sorted(COLOURS["warm"]) == whole["classes"]
    assert content(Agent(one), "colours") == content(Agent(other), "colours")
    assert own_skill(Agent(other), "colours").card.replaces == document["skill"]


def test_statistics_are_private_and_belong_to_the_last_two_versions(tmp_path: Path) -> None:
    """Nobody else may read them, no skill contains them, and removal removes them."""
    agent = Agent(tmp_path / "home")
    ids = [agent.learn(part(tmp_path, "a", {"red": slice(4), "orange": slice(8)}), name="x")]
    for name, rows in (("b", slice(4, 8)), ("c", slice(8, 12))):
        ids.append(agent.learn(part(tmp_path, name, {"red": rows}), add_to="x"))
    folder = tmp_path / "home" / "statistics"
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) == 2
    if hasattr(stat, "S_IMODE"):
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    statistics = agent.statistics.load(own_skill(agent, "x"))
    sent = b"".join(agent.read(skill_id) for skill_id in agent.bank.ids())
    for secret in (statistics.index.digests, statistics.sample.rows, statistics.index.marks):
        assert all(row.tobytes() not in sent for row in np.atleast_1d(secret))
    assert write_statistics(statistics) in {file.read_bytes() for file in files}
    agent.remove(ids[-1].skill_id)
    assert len(list(folder.glob("*.safetensors"))) == 1
    grown = agent.learn(part(tmp_path, "d", {"red": slice(10, 12)}), add_to="x")
    assert grown.task == "x"  # the version before is active again, with its statistics


def test_a_task_without_statistics_says_so(tmp_path: Path, warm: Path, cold: Path) -> None:
    """None were kept, they were lost, or they are damaged: one sentence each."""
    agent = Agent(tmp_path / "home")
    agent.learn(warm, statistics=False)
    assert not (tmp_path / "home" / "statistics").exists()
    with pytest.raises(DataError, match="statistics of 'warm' in this home, got none"):
        agent.learn(cold, add_to="warm")
    agent.learn(warm, replace=True)
    (file,) = (tmp_path / "home" / "statistics").glob("*.safetensors")
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StorageError, match="damaged: its content has changed; learn the task"):
        agent.learn(cold, add_to="warm")
    agent.learn(warm, replace=True, statistics=False)
    assert not list((tmp_path / "home" / "statistics").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gmmc"}, "was learned with gmmc; learn it again from all images"),
        ({"also": ("maha",)}, "was learned with maha, moments; learn it again from all images"),
        ({"bb": "auto"}, "with beneficial biases; learn it again from all images"),
    ],
)
def test_other_methods_must_be_learned_again(
    tmp_path: Path, warm: Path, cold: Path, options: dict[str, Any], message: str
) -> None:
    """Their skills are no function of sums."""
    agent = Agent(tmp_path / "home")
    agent.learn(warm, **options)
    with pytest.raises(UsageError, match=message):
        agent.learn(cold, add_to="warm")


def test_only_the_author_adds_images(
    learned: LearnedHomes, tmp_path: Path, warm: Path, cold: Path
) -> None:
    """A skill of another agent is refused; a name of one's own comes first."""
    alice, bob = Agent(learned.copy(tmp_path / "alice", "warm")), Agent(tmp_path / "bob")
    bob.receive(alice.read(alice.find("warm").id))
    with pytest.raises(UsageError, match=f"learned by {alice.alias} "):
        bob.learn(cold, add_to="warm")
    bob.learn(cold, name="warm")
    assert bob.learn(warm, add_to="warm").classes == tuple(
        sorted({*COLOURS["warm"], *COLOURS["cold"]})
    )


def test_options_and_images_that_do_not_fit_are_refused(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Before an image is embedded, with one sentence each."""
    agent = Agent(tmp_path / "home")
    agent.learn(warm, seed=3)
    shutil.move(cold / "blue", cold / "Red")
    understood: list[str] = []
    for options, message in (
        ({"add_to": "warn"}, "did you mean 'warm'"),
        ({"add_to": "warm", "replace": True}, "expected --add-to without --replace"),
        ({"add_to": "warm", "statistics": False}, "expected --add-to without --no-statistics"),
        ({"add_to": "warm", "seed": 4}, "expected the seed 3"),
        ({"add_to": "warm", "method": "maha"}, "with moments, not maha"),
        ({"add_to": "warm"}, "'Red' and the known class 'red'; rename the folder"),
    ):
        with pytest.raises(TeachmeshError, match=message):
            agent.learn(cold, on_understood=understood.append, **options)
    assert understood == []
    assert own_skill(agent, "warm").card.replaces is None


def test_images_in_memory_are_added_too(tmp_path: Path) -> None:
    """A mapping, then (images, labels), make the skill of one mapping with all images."""
    random = np.random.default_rng(0)
    reds, blues, greens = random.integers(0, 255, (3, 8, 40, 40, 3), dtype=np.uint8)
    one, other = Agent(tmp_path / "one"), Agent(tmp_path / "other")
    one.learn({"red": reds, "blue": blues, "green": greens}, name="x")
    other.learn({"red": reds[:5], "blue": blues}, name="x")
    more = [*reds[4:], *greens]
    found = other.learn((more, ["red"] * 4 + ["green"] * 8), add_to="x")
    assert "1 image known already: counted once" in found.warnings
    assert content(one, "x") == content(other, "x")


def test_splits_that_were_chosen_stay(tmp_path: Path) -> None:
    """Every image trains in a task with --split 0/0, also one that is added later."""
    agent = Agent(tmp_path / "home")
    first = part(tmp_path, "first", {"red": slice(0, 7), "orange": slice(0, 12)})
    agent.learn(first, split=(0, 0))
    agent.learn(part(tmp_path, "second", {"red": slice(7, 12)}), add_to="first")
    card = own_skill(agent, "first").card
    assert (card.images_per_class, card.validation_images) == ((12, 12), 0)
    assert not any("no validation images" in warning for warning in card.warnings)
