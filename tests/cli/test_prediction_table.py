"""The least sure answers, and answers as a table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from teachmesh.agent.answers.prediction import Alternative, Answers, Prediction
from teachmesh.cli.prediction_table import most_doubtful
from tests.cli.test_commands import run, run_json


def prediction(name: str, probability: float, unknown: bool | None) -> Prediction:
    """Return an answer about an image."""
    other = (Alternative("t", "b", 1 - probability),)
    return Prediction(name, "t", "a", probability, unknown, "0" * 64, "", "me", other)


def test_unknown_images_and_low_probabilities_come_first() -> None:
    """Unknown images come first, then low probabilities; equal answers keep their order."""
    rows = [("a", 0.9, False), ("b", 0.6, None), ("c", 0.99, True), ("d", 0.6, False)]
    answers = Answers(tuple(prediction(*row) for row in rows), (), "moments", "embedded")
    assert [p.image for p in most_doubtful(answers, 3).predictions] == ["c", "b", "d"]
    assert [p.image for p in most_doubtful(answers, 9).predictions] == ["c", "b", "d", "a"]


@pytest.mark.usefixtures("warm_is_known")
def test_a_table_has_one_line_per_image_and_the_runner_up(tmp_path: Path, warm: Path) -> None:
    """The table has the answers of --json, also for names with commas and formulas."""
    folder = tmp_path / "asked"
    folder.mkdir()
    for number, file in enumerate(sorted((warm / "red").iterdir())[:3]):
        (folder / f"=one, {number}.png").write_bytes(file.read_bytes())
    document = run_json("predict", str(folder))
    lines = run("predict", str(folder), "--csv").stdout.splitlines()
    rows = list(csv.DictReader(lines))
    assert [row["image"] for row in rows] == [p["image"] for p in document["predictions"]]
    for row, answer in zip(rows, document["predictions"], strict=True):
        assert (row["task"], row["class"]) == ("warm", answer["class"])
        assert float(row["probability"]) == round(answer["probability"], 4)
        assert row["runner_up_class"] == answer["alternatives"][0]["class"]
    doubtful = run_json("predict", str(folder), "--doubtful", "2")["predictions"]
    found = [p["probability"] for p in doubtful]
    assert found == sorted(p["probability"] for p in document["predictions"])[:2]
    run("predict", str(folder), "--csv", "--json", code=2)
