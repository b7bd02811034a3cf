"""Skills that are loaded when an answer needs them, and densities that are kept on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.agent import Agent
from teachmesh.agent.answers import student as student_module
from teachmesh.errors import DataError
from teachmesh.mapping import moments as moments_module
from teachmesh.mapping import moments_scan
from tests.learned_homes import LearnedHomes


@pytest.fixture
def home(
    learned: LearnedHomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, str]]:
    """A home with three skills, whose densities are on the disk, and their ids.

    The third one is the task warm of another agent.

    Banks of one skill count as large, a block holds one skill, and one skill stays in memory.
    """
    agent = Agent(learned.copy(tmp_path / "home", "warm", "cold"))
    other = Agent(learned.copy(tmp_path / "other", "warm", agent="other", seed=1))
    monkeypatch.setattr(moments_module, "SMALL_BANK", 1)
    monkeypatch.setattr(moments_scan, "BLOCK_ROWS", 1)
    monkeypatch.setattr(student_module, "KEPT_SKILLS", 1)
    ids = {task: agent.find(task).id for task in ("warm", "cold")}
    ids["other"] = agent.receive(other.read(other.find("warm").id)).id
    agent.sync()
    assert list((agent.bank.folder / "derived").rglob("*.arrays"))
    return tmp_path / "home", ids


def ruin(home: Path, skill_id: str) -> Path:
    """Damage the file of a skill; return the path to which the bank moves it."""
    name = f"{skill_id}.safetensors"
    path = home / "bank" / "skills" / name
    path.write_bytes(path.read_bytes()[:-1])
    return home / "bank" / "damaged" / name


def test_a_start_loads_no_skill_and_gives_the_same_answers(
    home: tuple[Path, dict[str, str]], warm: Path, cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle is an agent with all skills in memory and no densities on the disk."""
    agent = Agent(home[0])
    assert agent.sync()._skill.cache_info().currsize == 0
    found = agent.predict_many([str(warm), str(cold)])
    assert agent.sync()._skill.cache_info().currsize == 1
    monkeypatch.setattr(student_module, "KEPT_SKILLS", 256)
    for path in (home[0] / "bank" / "derived").rglob("*.arrays"):
        path.unlink()
    expected = Agent(home[0]).predict_many([str(warm), str(cold)])
    assert found == expected


@pytest.mark.parametrize("gone", [False, True])
def test_the_other_skills_answer_for_a_damaged_one(
    home: tuple[Path, dict[str, str]], cold: Path, gone: bool
) -> None:
    """It is noticed when the skill decides, and the skill is set aside."""
    folder, ids = home
    agent = Agent(folder)
    agent.sync()
    moved = ruin(folder, ids["cold"])
    if gone:
        (folder / "bank" / "skills" / moved.name).unlink()
    answers = agent.predict_many(cold)
    assert {p.skill_id for p in answers.predictions} <= {ids["warm"], ids["other"]}
    assert moved.exists() is not gone
    assert ids["cold"] not in agent.bank.ids()


def test_damaged_skills_that_a_start_must_derive_are_set_aside(
    home: tuple[Path, dict[str, str]], cold: Path
) -> None:
    """Also several of them; with the last one, the error says that no skill is left."""
    folder, ids = home
    for path in (folder / "bank" / "derived").rglob("*.arrays"):
        path.unlink()
    ruin(folder, ids["cold"])
    ruin(folder, ids["warm"])
    answers = Agent(folder).predict_many(cold)
    assert {prediction.skill_id for prediction in answers.predictions} == {ids["other"]}
    ruin(folder, ids["other"])
    with pytest.raises(DataError, match="expected at least one skill"):
        Agent(folder).predict_many(cold)


def test_an_answer_needs_no_disk_for_densities(
    home: tuple[Path, dict[str, str]], cold: Path
) -> None:
    """A folder that cannot be used is the same as none."""
    folder, _ = home
    expected = Agent(folder).predict_many(cold)
    derived = folder / "bank" / "derived"
    for path in sorted(derived.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    derived.rmdir()
    derived.write_bytes(b"")
    assert Agent(folder).predict_many(cold) == expected
