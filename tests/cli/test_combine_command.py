"""`teachmesh combine`: a task made from classes of the bank, without images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.packet.skill import Skill
from tests.cli.test_commands import run, run_json
from tests.learned_homes import LearnedHomes


@pytest.fixture
def taught(learned: LearnedHomes, tmp_path: Path, warm: Path, cold: Path) -> Path:
    """The folder of two tasks that the default home has learned."""
    learned.copy(tmp_path / "default-home", "warm", "cold")
    assert warm.parent == cold.parent
    return warm.parent


def test_a_combination_answers_as_the_tasks_it_was_made_of(taught: Path, tmp_path: Path) -> None:
    """A task of two warm and two cold colours classifies all their images correctly."""
    wanted = {"red": "warm", "yellow": "warm", "blue": "cold", "violet": "cold"}
    document = run_json("combine", "mixed", *wanted, "--encoder", "names")
    assert [entry["class"] for entry in document["classes"]] == list(wanted)
    for entry in document["classes"]:
        (parent,) = entry["parents"]
        assert (parent["task"], parent["class"]) == (wanted[entry["class"]], entry["class"])
    for name, task in wanted.items():
        answers = run_json("predict", str(taught / task / name), "--task", "mixed")["predictions"]
        assert {answer["class"] for answer in answers} == {name}
    card = run_json("skills", "show", "mixed")["card"]
    assert (card["validation_images"], card["validation_accuracy"]) == (0, None)
    parents = {task: run_json("skills", "show", task)["card"] for task in ("warm", "cold")}
    images = {
        t: dict(zip(c["classes"], c["images_per_class"], strict=True)) for t, c in parents.items()
    }
    assert card["images_per_class"] == [images[task][name] for name, task in wanted.items()]
    assert "without an image" in card["warnings"][0]
    assert len(card["parents"]["classes"]) == 4
    file = tmp_path / "mixed.skill"
    run("skills", "export", "mixed", "--output", str(file))
    run("skills", "import", str(file), "--home", str(tmp_path / "peer"))
    image = str(sorted((taught / "warm" / "red").iterdir())[0])
    answer = run_json("predict", image, "--task", "mixed", "--home", str(tmp_path / "peer"))
    assert answer["predictions"][0]["class"] == "red"


WANTED = {"red": "warm", "yellow": "warm", "blue": "cold", "violet": "cold"}


def test_rows_of_moments_heads_are_divided_by_their_norms(taught: Path) -> None:
    """The rows are those of the old skills, divided by their norms up to one common factor."""
    old = {task: bank_skill(task) for task in ("warm", "cold")}
    for norm in ("none", "2", "inf"):
        run_json("combine", "mixed", *WANTED, "--rows", norm, "--replace")
        rows = moments_of(bank_skill("mixed")).head_rows()
        expected = []
        for name, task in WANTED.items():
            row = moments_of(old[task]).head_rows()[old[task].card.classes.index(name)]
            expected.append(row if norm == "none" else row / np.linalg.norm(row, ord=float(norm)))
        scale = np.abs(rows).max() / np.abs(expected).max()
        bound = 0.01 * np.abs(rows).max()  # the rows are rounded to int8
        np.testing.assert_allclose(rows, scale * np.array(expected), atol=bound)
    assert share_right(taught) > 0.8  # chance is a quarter


def test_rows_of_trained_heads_make_a_skill_of_that_method(
    learned: LearnedHomes, tmp_path: Path, warm: Path, cold: Path
) -> None:
    """`maha` has samples by class, so its skills can be combined; clusters cannot."""
    assert warm.parent == cold.parent
    learned.copy(tmp_path / "default-home", "warm", "cold", method="maha")
    run_json("combine", "mixed", *WANTED, "--rows", "inf", "--method", "maha")
    head, old = bank_skill("mixed").head(), bank_skill("cold")
    trained = old.head()
    assert head is not None
    assert trained is not None
    np.testing.assert_allclose(
        np.corrcoef(head.weight[2], trained.weight[old.card.classes.index("blue")])[0, 1], 1.0
    )
    assert share_right(warm.parent, "--method", "maha") > 0.4  # chance is a quarter
    for arguments, said in (
        (("--method", "maha"), "expected --rows with the method 'maha'"),
        (("--method", "gmmc", "--rows", "inf"), "clusters belong to a whole task"),
        (("--rows", "3"), "expected --rows inf, 2, none, got '3'"),
    ):
        document = json.loads(run("combine", "x", *WANTED, *arguments, "--json", code=2).stdout)
        assert said in document["message"]


def bank_skill(task: str) -> Skill:
    """Return the skill of a task in the bank of the default home."""
    bank = Agent().bank
    return bank.load(run_json("skills", "show", task)["id"]).skill


def moments_of(skill: Skill) -> MomentsAnchor:
    """Return the class moments of a skill."""
    anchor = skill.anchor("moments")
    assert isinstance(anchor, MomentsAnchor)
    return anchor


def share_right(folder: Path, *arguments: str) -> float:
    """Return the fraction of images of the combined classes that are right, given the task."""
    right = []
    for name, task in WANTED.items():
        path = str(folder / task / name)
        answers = run_json("predict", path, "--task", "mixed", *arguments)["predictions"]
        right += [answer["class"] == name for answer in answers]
    return float(np.mean(right))


def test_one_tasks_class_can_be_asked_for(taught: Path) -> None:
    """By `TASK:CLASS`, or with --from for all classes; the output lists the source of each."""
    assert len(run_json("combine", "a", "warm:red", "blue")["classes"][0]["parents"]) == 1
    said = run("combine", "b", "red", "yellow", "--from", "warm").stdout
    assert "red: red in warm" in said
    assert "from 2 classes, without an image" in said
    assert "names compared by" in said or "no text encoder" in said
    again = run_json("combine", "b", "yellow", "red", "--from", "warm", "--replace")
    assert [entry["class"] for entry in again["classes"]] == ["yellow", "red"]


def parents_of(document: dict[str, Any]) -> list[set[str]]:
    """Return the source tasks of each class."""
    return [{parent["task"] for parent in entry["parents"]} for entry in document["classes"]]


def test_what_was_put_together_counts_only_where_it_is_named(taught: Path) -> None:
    """Its means come from other skills, so that they would count twice otherwise."""
    run("combine", "a", "red", "blue")
    assert parents_of(run_json("combine", "b", "red", "blue")) == [{"warm"}, {"cold"}]
    assert parents_of(run_json("combine", "c", "a:red", "blue")) == [{"a"}, {"cold"}]
    named = run_json("combine", "d", "red", "blue", "--from", "a", "--from", "cold")
    assert parents_of(named) == [{"a"}, {"a", "cold"}]
    run("skills", "remove", "warm", "--yes")
    assert parents_of(run_json("combine", "e", "red", "cyan")) == [{"a", "b", "c", "d"}, {"cold"}]


def test_a_name_is_the_same_in_every_composition(taught: Path) -> None:
    """Decomposed accents, as some file systems write them, work in all three places."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert run_json("combine", decomposed, "red", "blue")["task"] == composed
    document = run_json("combine", "x", "red", "blue", "--from", decomposed)
    assert parents_of(document) == [{composed}, {composed}]
    document = run_json("combine", "y", f"{decomposed}:red", "blue")
    assert parents_of(document) == [{composed}, {"cold"}]


@pytest.mark.usefixtures("taught")
def test_a_task_of_several_authors_is_asked_for_by_author(
    learned: LearnedHomes, tmp_path: Path
) -> None:
    """The message of an agent that learned none of them lists full names, and they work."""
    peer, other, file = str(tmp_path / "peer"), str(tmp_path / "other"), str(tmp_path / "a.skill")
    learned.copy(Path(peer), "warm", agent="peer")
    for task, home in (("warm", peer), ("warm", None), ("cold", None)):
        run("skills", "export", task, "--output", file, *(["--home", home] if home else []))
        run("skills", "import", file, "--home", other)
    to_other = ["--home", other, "--encoder", "names"]
    document = json.loads(
        run("combine", "x", "warm:red", "blue", "--json", *to_other, code=2).stdout
    )
    assert "'warm' fits 2" in document["message"]
    full = document["message"].split("name one of ")[1].split(", ")[0]
    combined = run_json("combine", "x", f"{full}:red", "blue", *to_other)
    assert len(combined["classes"][0]["parents"]) == 1


@pytest.mark.usefixtures("warm_is_known")
def test_a_skill_without_class_moments_gives_no_class(cold: Path) -> None:
    """The bank has its class names, but not its class means."""
    run("learn", str(cold), "--method", "maha")
    document = json.loads(run("combine", "x", "red", "blue", "--json", code=2).stdout)
    assert "got 'blue'" in document["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "red"), "at least two classes"),
        (("x", "red", "Red"), "'red' twice"),
        (("x", "red", "yelow"), "did you mean 'yellow'"),
        (("x", "red", "warm:blue"), "of task 'warm', got 'blue'"),
        (("x", "red", "blue", "--from", "wram"), "did you mean 'warm'"),
        (("warm", "red", "blue"), "use --replace or another name"),
        (("x", "red", "blue", "--encoder", "word2vec"), "auto, minilm, clip, names"),
    ],
)
def test_what_cannot_be_put_together_is_one_sentence(
    taught: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Nothing is saved."""
    before = run_json("skills", "list")["digest"]
    document = json.loads(run("combine", *arguments, "--json", code=2).stdout)
    assert said in document["message"]
    assert run_json("skills", "list")["digest"] == before
