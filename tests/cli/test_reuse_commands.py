"""`match`, `learn --reuse`, `evaluate --corrective` and what `predict` says, as a person types."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_commands import run, run_json
from tests.conftest import write_task


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Four images of each warm colour under the same names, drawn anew, as another task."""
    folder = write_task(tmp_path / "other", "warm", per_class=6, seed=7)
    return folder.rename(folder.with_name("few"))


def test_match_says_what_is_known_and_by_what_means(warm: Path, few: Path) -> None:
    """Before anything was learned nothing is; then names and looks find the three colours."""
    nothing = run_json("match", str(few), "--encoder", "names")
    assert [entry["matches"] for entry in nothing["classes"]] == [[], [], []]
    run("learn", str(warm))
    found = run_json("match", str(few), "--encoder", "names")
    assert set(found) == {"schema", "encoder", "classes", "saves"}
    assert (found["schema"], found["encoder"]) == ("skillmesh.match/1", "names")
    for entry in found["classes"]:
        (match,) = entry["matches"]
        assert set(match) == {"task", "class", "author", "score", "by"}
        assert (match["task"], match["class"]) == ("warm", entry["class"])
        assert (match["score"], match["by"]) == (1.0, "text+vision")
        assert match["author"]
    shown = run("match", str(few), "--encoder", "names", "--by", "text").stdout
    assert "names only" in shown
    assert "no text encoder" in shown
    assert "red: red in warm, taught by" in shown


@pytest.mark.parametrize(("method", "taken"), [("moments", "classes"), ("maha", "rows")])
def test_match_says_what_learn_would_take(warm: Path, few: Path, method: str, taken: str) -> None:
    """What is tried beforehand is what learning tries: both take old rows, or neither does."""
    run("learn", str(warm), "--method", method, "--also", "moments")
    saves = run_json("match", str(few), "--encoder", "names", "--method", method)["saves"]
    assert 0 < saves["right_alone"] <= saves["right_with"] <= 1
    arguments = ("--reuse", "auto", "--encoder", "names", "--method", method)
    assert (saves["takes"] == taken) == (run_json("learn", str(few), *arguments)["reused"] > 0)
    assert run_json("match", str(few), "--by", "text", "--encoder", "names")["saves"] is None


def test_match_in_words_says_what_it_would_bring(warm: Path, few: Path) -> None:
    """The colours are told apart without help, and it says so; without images there is no word."""
    run("learn", str(warm))
    said = run("match", str(few), "--encoder", "names").stdout
    assert "take nothing: right on held-out images are 100.0 % anyway" in said
    assert "held-out" not in run("match", str(few), "--encoder", "names", "--by", "text").stdout


def test_learning_with_an_empty_bank_or_without_a_match_is_learning_alone(
    warm: Path, cold: Path
) -> None:
    """The very same anchor: the digest of a bank that never heard of reuse."""
    run("learn", str(warm), "--reuse", "auto", "--encoder", "names")
    run("learn", str(cold), "--reuse", "auto", "--encoder", "names")
    for name in ("warm", "cold"):
        assert "parents" not in run_json("skills", "show", name)["card"]


def test_what_was_reused_stands_on_the_card(warm: Path, few: Path) -> None:
    """Parents are named if and only if the gate let them pass."""
    run("learn", str(warm))
    learned = run_json("learn", str(few), "--reuse", "auto", "--encoder", "names")
    card = run_json("skills", "show", "few")["card"]
    assert len(card.get("parents", [])) == learned["reused"]


def test_an_answer_says_what_is_the_same_elsewhere(warm: Path, few: Path) -> None:
    """The line "same as red in task ..." for a person, a list for a program."""
    run("learn", str(warm))
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
    """Plain figures do not change; corrected ones are never below them."""
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
    assert "Classes that are the same thing" in report.read_text("utf-8")


def test_nonsense_is_one_sentence(warm: Path) -> None:
    """An unknown way, an unknown encoder, a threshold that is none."""
    for arguments, said in (
        (("learn", str(warm), "--reuse", "smell"), "auto, text, vision"),
        (("match", str(warm), "--encoder", "word2vec"), "auto, minilm, clip, names"),
        (("match", str(warm), "--by", "none"), "expected"),
    ):
        document = json.loads(run(*arguments, "--json", code=2).stdout)
        assert said in document["message"]


def test_a_hostile_class_name_changes_only_its_own_match(warm: Path, few: Path) -> None:
    """Emoji for a name: the other two classes are matched as before."""
    run("learn", str(warm))
    before = run_json("match", str(few), "--encoder", "names", "--by", "text")
    (few / "yellow").rename(few / "\U0001f600\U0001f600")
    after = run_json("match", str(few), "--encoder", "names", "--by", "text")
    known = {entry["class"]: entry["matches"] for entry in before["classes"]}
    for entry in after["classes"]:
        assert entry["matches"] == known.get(entry["class"], [])
