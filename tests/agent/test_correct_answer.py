"""A photo that was answered wrongly is learned as the class that it has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.grow_tasks import content
from teachmesh.agent.agent import Agent
from teachmesh.errors import DataError, UsageError
from tests.agent.test_grow_task import run
from tests.learned_homes import LearnedHomes


def test_a_corrected_photo_makes_the_very_skill(tmp_path: Path, warm: Path) -> None:
    """A photo that was learned as red, and comes again in another format, is learned as orange."""
    wrong = tmp_path / "wrong" / "warm"
    shutil.copytree(warm, wrong)
    moved = warm / "orange" / "00.png"
    shutil.move(wrong / "orange" / "00.png", wrong / "red" / "mine.png")
    again = tmp_path / "again.bmp"
    Image.open(moved).save(again)
    homes = [tmp_path / "one", tmp_path / "other"]
    run("learn", warm, "--home", homes[0], "--split", "0/0")
    run("learn", wrong, "--home", homes[1], "--split", "0/0")
    choice = ("--task", "warm", "--class", "orange", "--home", homes[1])
    document = run("correct", again, *choice)
    assert (document["left"], document["known"]) == (["red"], False)
    assert run("correct", moved, *choice)["known"]
    contents = [content(Agent(home), "warm") for home in homes]
    assert contents[0] == contents[1]


def test_photos_and_classes_that_cannot_be_used_are_refused(
    learned: LearnedHomes, tmp_path: Path, warm: Path
) -> None:
    """One sentence each, and no new version."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    skill_id = agent.find("warm").id
    photo = warm / "red" / "00.png"
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match="did you mean 'orange'.*learn --add-to"):
        agent.correct(photo, task="warm", class_name="orangs")
    with pytest.raises(DataError, match=r"text\.png"):
        agent.correct(tmp_path / "text.png", task="warm", class_name="red")
    other = Agent(tmp_path / "other")
    other.receive(agent.read(skill_id))
    with pytest.raises(UsageError, match="learned by"):
        other.correct(photo, task="warm", class_name="red")
    assert agent.bank.ids() == [skill_id]
