"""Command lines with biases: options, output, one sentence per mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import run, run_json
from tests.conftest import write_muddled_task


def test_learn_with_biases_says_what_they_gained_and_cost(warm: Path) -> None:
    """The JSON output of `learn`, the card and the text agree."""
    learned = run_json("learn", str(warm), "--bb", "last:2", "--bb-passes", "4")
    biases = learned["biases"]
    assert (biases["choice"], biases["layers"]) == ("last:2", 2)
    assert biases["accuracy_with"] >= biases["accuracy_without"] or biases["weight"] == 0
    card = run_json("skills", "show", "warm")["card"]
    assert card["biases"] == biases
    assert card["cost_macs"] == learned["cost_macs"] > biases["cost_macs"] > 0
    shown = run("skills", "show", "warm").stdout
    assert "biases on 2 layers" in shown
    assert "forward passes" in shown


def test_a_budget_is_kept_by_what_was_really_spent(tmp_path: Path) -> None:
    """The budget covers all learning, including the first pass and validation."""
    muddled = write_muddled_task(tmp_path, "warm")
    learned = run_json("learn", str(muddled), "--method", "maha+bb", "--bb-passes", "5")
    assert learned["biases"]["choice"] == "auto"
    assert 4 < learned["biases"]["passes"] + 1 <= 5.05


def test_auto_spends_nothing_where_nothing_is_left_to_gain(warm: Path) -> None:
    """The card shows no biases and no cost; with named layers they are trained anyway."""
    learned = run_json("learn", str(warm), "--bb", "auto")
    biases = learned["biases"]
    assert (biases["weight"], biases["passes"], biases["cost_macs"]) == (0, 0, 0)
    assert biases["accuracy_with"] == biases["accuracy_without"] > 0
    assert "not learned, because almost all" in run("skills", "show", "warm").stdout
    insisted = run_json("learn", str(warm), "--replace", "--bb", "last:1", "--bb-passes", "3")
    assert insisted["biases"]["passes"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bb", "some"], "expected --bb"),
        (["--bb-passes", "8"], "together with --bb"),
        (["--bb", "auto", "--bb-passes", "0.5"], "raise --bb-passes"),
        (["--method", "maha+b"], "did you mean 'maha+bb'"),
        (["--method", "bb-h2t", "--bb", "none"], "got --bb none"),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(
    warm: Path, options: list[str], words: str
) -> None:
    """The exit code is 2, and nothing is learned."""
    result = run("learn", str(warm), *options, code=2)
    assert words in result.stderr
    assert run_json("skills", "list")["skills"] == []
