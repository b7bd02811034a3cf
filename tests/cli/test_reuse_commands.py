"""Command lines of `match`, `learn --reuse`, `evaluate --corrective` and `predict`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from teachmesh.agent import Agent
from tests.cli.test_commands import run, run_json
from tests.conftest import write_task
from tests.learned_homes import LearnedHomes


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Another task with the class names of `warm` and other images, four for training per class."""
    folder = write_task(tmp_path / "other", "warm", per_class=6, seed=7)
    return folder.rename(folder.with_name("few"))


@pytest.fixture
def easy(tmp_path: Path) -> Path:
    """The same with ten training images per class, so that nothing is left to gain."""
    folder = write_task(tmp_path / "more", "warm", per_class=12, seed=7)
    return folder.rename(folder.with_name("easy"))


EARTH = {
    "amber": (200, 150, 60),
    "brick": (190, 90, 60),
    "clay": (180, 120, 90),
    "dune": (200, 170, 120),
    "ember": (210, 110, 40),
    "flax": (220, 190, 110),
}


def write_earth(folder: Path, per_class: int, seed: int) -> Path:
    """Write a task of six similar, noisy colours, so that transfer helps with few images."""
    rng = np.random.default_rng(seed)
    for label, colour in EARTH.items():
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            tint = np.array(colour) + rng.normal(0, 10, 3)
            noise = rng.normal(0, 35, (6, 6, 3)).repeat(8, axis=0).repeat(8, axis=1)
            pixels = (tint + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:02}.png")
    return folder


def tear(image: Path) -> None:
    """Cut an image file after its header, so that only decoding fails."""
    image.write_bytes(image.read_bytes()[:60])


def test_match_says_what_is_known_and_by_what_means(warm: Path, few: Path) -> None:
    """An empty bank gives no match; then names and images find the three colours."""
    nothing = run_json("match", str(few), "--encoder", "names")
    assert [entry["matches"] for entry in nothing["classes"]] == [[], [], []]
    run("learn", str(warm))
    found = run_json("match", str(few), "--encoder", "names")
    assert set(found) == {"schema", "encoder", "classes", "saves", "skipped"}
    assert (found["schema"], found["encoder"]) == ("teachmesh.match/1", "names")
    for entry in found["classes"]:
        (match,) = entry["matches"]
        assert set(match) == {"task", "class", "author", "score", "by"}
        assert (match["task"], match["class"]) == ("warm", entry["class"])
        assert (match["score"], match["by"]) == (1.0, "text+vision")
        assert match["author"]
    shown = run("match", str(few), "--encoder", "names", "--by", "text").stdout
    assert "against 1 known tasks, by names only" in shown
    assert "no text encoder" in shown
    assert "red: red in warm, taught by" in shown


@pytest.mark.parametrize(("method", "taken"), [("moments", "classes"), ("maha", "rows")])
def test_match_says_what_learn_would_take(
    learned: LearnedHomes, tmp_path: Path, few: Path, method: str, taken: str
) -> None:
    """`match` previews the decision of `learn`: both use old classes, or neither does."""
    learned.copy(tmp_path / "default-home", "warm", method=method)
    found = run_json("match", str(few), "--encoder", "names", "--method", method)
    assert [len(entry["matches"]) for entry in found["classes"]] == [1, 1, 1]
    saves = found["saves"]
    assert 0 < saves["right_alone"] <= saves["right_with"] <= 1
    arguments = ("--reuse", "auto", "--encoder", "names", "--method", method)
    result = run_json("learn", str(few), *arguments)
    assert (saves["takes"] == taken) == (result["reused"] > 0)
    assert result["reuse"] == {
        "encoder": "names",
        "tasks": 1,
        "known": 3,
        "takes": saves["takes"],
    }
    assert run_json("match", str(few), "--by", "text", "--encoder", "names")["saves"] is None


@pytest.mark.usefixtures("warm_is_known")
def test_match_in_words_says_what_it_would_bring(warm: Path, few: Path, easy: Path) -> None:
    """Only few images need a transfer, and the output says so; --by text has no preview."""
    said = run("match", str(easy), "--encoder", "names").stdout
    assert "take nothing: right on held-out images are 100.0 % anyway" in said
    assert "3 of 3 classes are known\n" in said
    said = run("match", str(few), "--encoder", "names").stdout
    assert "take the known classes" in said
    assert re.search(r"100\.0 %, \d+\.\d % when learning alone", said)
    by_name = run("match", str(easy), "--encoder", "names", "--by", "text").stdout
    assert "held-out" not in by_name
    assert "are known: they are a start" in by_name


@pytest.mark.usefixtures("warm_is_known")
def test_match_by_looks_speaks_of_no_names(warm: Path, few: Path) -> None:
    """Neither the text nor the JSON output mentions names."""
    said = run("match", str(few), "--by", "vision").stdout
    assert "against 1 known tasks, by looks\n" in said
    assert "names" not in said
    assert run_json("match", str(few), "--by", "vision")["encoder"] is None


def test_match_says_why_there_are_no_looks(
    learned: LearnedHomes, tmp_path: Path, few: Path
) -> None:
    """A skill without class moments is matched by names only."""
    learned.copy(tmp_path / "default-home", "warm", method="maha")
    said = run("match", str(few), "--encoder", "names").stdout
    assert "by names only: no known task has class moments" in said
    said = run("match", str(few), "--by", "vision").stdout
    assert "nothing to match: no known task has class moments" in said


def test_where_nothing_is_taken_the_skill_is_that_of_learning_alone(
    warm: Path, cold: Path, easy: Path, tmp_path: Path
) -> None:
    """Empty bank, no match, or a match without gain: the tensors are those without --reuse."""
    alone = Agent(tmp_path / "alone")
    for folder, known in ((warm, 0), (cold, 0), (easy, 3)):
        learned = run_json("learn", str(folder), "--reuse", "auto", "--encoder", "names")
        assert (learned["reuse"]["known"], learned["reuse"]["takes"]) == (known, "nothing")
        card = run_json("skills", "show", folder.name)["card"]
        assert "parents" not in card
        expected = alone.bank.load(alone.learn(folder).skill_id).skill
        found = Agent().bank.load(learned["skill"]).skill
        assert card["calibration"] == expected.card.calibration
        assert found.tensors.keys() == expected.tensors.keys()
        for name, tensor in expected.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], tensor)


def test_old_classes_help_few_noisy_images_and_stand_on_the_card(tmp_path: Path) -> None:
    """`match` and `learn` agree, and the parent of each row is the class of the same name."""
    old = run_json("learn", str(write_earth(tmp_path / "earth", 30, seed=1)))
    new = str(write_earth(tmp_path / "few", 5, seed=2))
    saves = run_json("match", new, "--encoder", "names")["saves"]
    assert saves["takes"] == "classes"
    assert saves["right_with"] >= saves["right_alone"]
    learned = run_json("learn", new, "--reuse", "auto", "--encoder", "names")
    assert learned["reuse"] == {"encoder": "names", "tasks": 1, "known": 6, "takes": "classes"}
    parents = run_json("skills", "show", "few")["card"]["parents"]
    assert parents["classes"] == parents["parent_classes"] == sorted(EARTH)
    assert parents["skills"] == [old["skill"]] * learned["reused"] == [old["skill"]] * 6


def test_learn_says_what_reuse_came_to(warm: Path, few: Path, easy: Path) -> None:
    """With --reuse one line shows matches, transfer and encoder; without it there is none."""
    assert "reuse:" not in run("learn", str(warm)).stdout
    said = run("learn", str(easy), "--reuse", "auto", "--encoder", "names").stdout
    assert "reuse: 3 of 3 classes known in 1 tasks, took nothing" in said
    assert "no text encoder" in said
    said = run("learn", str(few), "--reuse", "auto", "--encoder", "names").stdout
    assert "known in 2 tasks, took the known classes" in said


def test_unreadable_images_are_counted_and_an_unreadable_class_is_refused(warm: Path) -> None:
    """`match` and `learn` give the same exit codes and messages."""
    run("learn", str(warm), "--name", "old")
    tear(warm / "red" / "00.png")
    tear(warm / "red" / "01.png")
    found = run_json("match", str(warm), "--encoder", "names", code=9)
    assert found["skipped"] > 0
    assert all(entry["matches"] for entry in found["classes"])
    said = run("match", str(warm), "--encoder", "names", code=9)
    assert "unreadable images skipped" in said.stdout
    assert "red" in said.stderr
    (warm / "red" / "02.png").write_text("this is no image")
    named = run("match", str(warm), "--encoder", "names", "--by", "text", code=9).stderr
    assert "02.png" in named
    learned = run_json("learn", str(warm), "--name", "new", code=9)
    assert learned["skipped"] == len(learned["skipped_reasons"]) == 3
    assert any("02.png" in reason for reason in learned["skipped_reasons"])
    (warm / "torn").mkdir()
    for number in range(3):
        image = warm / "torn" / f"{number}.png"
        image.write_bytes((warm / "orange" / f"{number:02}.png").read_bytes())
        tear(image)
    for arguments in (("match", str(warm)), ("learn", str(warm), "--reuse", "auto")):
        document = json.loads(run(*arguments, "--encoder", "names", "--json", code=4).stdout)
        assert "found none of 'torn' (" in document["message"]
    for image in warm.glob("*/*.png"):
        tear(image)
    for command in (("match",), ("learn", "--name", "torn")):
        (line,) = run(*command, str(warm), code=4).stderr.splitlines()[-1:]
        assert "readable images" in line
        assert ".png' (image file is truncated)" in line


@pytest.mark.usefixtures("warm_is_known")
def test_an_answer_says_what_is_the_same_elsewhere(warm: Path, few: Path) -> None:
    """The text has a line "same as red in task ...", the JSON output has a list."""
    run("learn", str(few))
    image = str(sorted((warm / "red").iterdir())[0])
    (prediction,) = run_json("predict", image)["predictions"]
    other = {"warm": "few", "few": "warm"}[prediction["task"]]
    assert prediction["same_as"] == [
        {"task": other, "class": prediction["class"], "similarity": 1.0}
    ]
    assert f"same as {prediction['class']} in task {other}" in run("predict", image).stdout


def test_the_corrected_accuracy_stands_beside_the_plain_one(
    warm: Path, few: Path, tmp_path: Path
) -> None:
    """Plain accuracies stay the same, and corrected ones are never lower."""
    tasks = tmp_path / "both"
    shutil.copytree(warm, tasks / "warm")
    shutil.copytree(few, tasks / "few")
    plain = run_json("evaluate", str(tasks))
    report = tmp_path / "report.html"
    both = run_json(
        "evaluate",
        *(str(tasks), "--corrective", "0.9", "--encoder", "names", "--report", str(report)),
    )
    assert both["tasks"] == plain["tasks"]
    assert "corrective" not in plain
    corrective = both["corrective"]
    mean = sum(entry["right"] for entry in corrective["plain"]) / 2
    assert mean == pytest.approx(plain["mean"]["direct"])
    assert all(row["mean"] >= mean for row in corrective["corrected"])
    assert {row["by"] for row in corrective["corrected"]} == {"names", "names_and_looks"}
    assert "Equivalent classes" in report.read_text("utf-8")


def test_nonsense_is_one_sentence(warm: Path) -> None:
    """An unknown way of matching, an unknown encoder, an invalid threshold."""
    for arguments, said in (
        (("learn", str(warm), "--reuse", "smell"), "auto, text, vision"),
        (("match", str(warm), "--encoder", "word2vec"), "auto, minilm, clip, names"),
        (("match", str(warm), "--by", "none"), "auto, text, vision, got 'none'"),
        (("match", str(warm), "--by", "vision", "--encoder", "x"), "auto, minilm, clip, names"),
        (("learn", str(warm), "--encoder", "x"), "auto, minilm, clip, names"),
        (("evaluate", str(warm.parent), "--corrective", "1.5"), "threshold above 0 and up to 1"),
    ):
        document = json.loads(run(*arguments, "--json", code=2).stdout)
        assert said in document["message"]


@pytest.mark.usefixtures("warm_is_known")
def test_a_hostile_class_name_changes_only_its_own_match(warm: Path, few: Path) -> None:
    """With emoji as a class name, the other two classes are matched as before."""
    before = run_json("match", str(few), "--encoder", "names", "--by", "text")
    (few / "yellow").rename(few / "\U0001f600\U0001f600")
    after = run_json("match", str(few), "--encoder", "names", "--by", "text")
    known = {entry["class"]: entry["matches"] for entry in before["classes"]}
    for entry in after["classes"]:
        assert entry["matches"] == known.get(entry["class"], [])
