"""`skillmesh combine`: a task out of what the bank knows, without an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import run, run_json


@pytest.fixture
def taught(warm: Path, cold: Path) -> Path:
    """Both tasks learned; where their images are."""
    run("learn", str(warm))
    run("learn", str(cold))
    return warm.parent


def test_a_combination_answers_as_the_tasks_it_was_made_of(taught: Path, tmp_path: Path) -> None:
    """Two warm colours and two cold ones: every image of them, though none was ever shown."""
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
    images = run_json("skills", "show", "warm")["card"]["images_per_class"]
    assert card["images_per_class"] == [images[0]] * 4
    assert "without an image" in card["warnings"][0]
    assert len(card["parents"]["classes"]) == 4
    file = tmp_path / "mixed.skill"
    run("skills", "export", "mixed", "--output", str(file))
    run("skills", "import", str(file), "--home", str(tmp_path / "peer"))
    image = str(sorted((taught / "warm" / "red").iterdir())[0])
    answer = run_json("predict", image, "--task", "mixed", "--home", str(tmp_path / "peer"))
    assert answer["predictions"][0]["class"] == "red"


def test_one_tasks_class_can_be_asked_for(taught: Path) -> None:
    """By `TASK:CLASS`, or for all classes with --from; the words say where each came from."""
    assert len(run_json("combine", "a", "warm:red", "blue")["classes"][0]["parents"]) == 1
    said = run("combine", "b", "red", "yellow", "--from", "warm").stdout
    assert "red: red in warm" in said
    assert "from 2 classes, without an image" in said
    again = run_json("combine", "b", "yellow", "red", "--from", "warm", "--replace")
    assert [entry["class"] for entry in again["classes"]] == ["yellow", "red"]
    # What b was before is not among its own parents, but a, which knows red, is a task like others.
    parents = {p["task"] for p in run_json("combine", "c", "red", "blue")["classes"][0]["parents"]}
    assert parents == {"warm", "a", "b"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "red"), "at least two classes"),
        (("x", "red", "Red"), "'red' twice"),
        (("x", "red", "yelow"), "did you mean 'yellow'"),
        (("x", "red", "warm:blue"), "task 'warm' knows, got 'blue'"),
        (("x", "red", "blue", "--from", "wram"), "did you mean 'warm'"),
        (("warm", "red", "blue"), "use --replace"),
        (("x", "red", "blue", "--encoder", "word2vec"), "auto, minilm, clip, names"),
    ],
)
def test_what_cannot_be_put_together_is_one_sentence(
    taught: Path, arguments: tuple[str, ...], said: str
) -> None:
    """And nothing is saved."""
    before = run_json("skills", "list")["digest"]
    document = json.loads(run("combine", *arguments, "--json", code=2).stdout)
    assert said in document["message"]
    assert run_json("skills", "list")["digest"] == before
