"""Options for the constants of the paper's task mappers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from tests.cli.test_commands import run, run_json


def test_a_skill_has_the_clusters_and_samples_that_were_asked_for(warm: Path) -> None:
    """The anchors carry them, and the floor bounds every variance from below."""
    options = ("--clusters", "4", "--variance-floor", "1000", "--samples", "2")
    learned = run_json("learn", str(warm), "--method", "gmmc", "--also", "maha", *options)
    skill = Agent().bank.load(learned["skill"]).skill
    gmmc, maha = skill.tensors["gmmc.variances"], skill.tensors["maha.samples"]
    assert gmmc.shape[0] == 4
    assert gmmc.min() > 5 * np.ptp(gmmc)  # the floor is nearly all of it
    assert maha.shape[0] == 3 * 2
    every = run_json("learn", str(warm), "--replace", "-m", "maha", "--samples", "all")
    skill = Agent().bank.load(every["skill"]).skill
    assert skill.tensors["maha.samples"].shape[0] == sum(skill.card.images_per_class)


def test_evaluate_takes_the_ridge_of_the_student(warm: Path, cold: Path) -> None:
    """Equal skills, another decision rule; the document names what was given."""
    folder = str(warm.parent)
    first = run_json("evaluate", folder, "-m", "maha")
    other = run_json("evaluate", folder, "-m", "maha", "--ridge", "100", "--samples", "1")
    assert first["constants"] == {}
    assert other["constants"] == {"ridge": 100, "samples": 1}
    sizes = [document["mean"]["skill_bytes"] for document in (first, other)]
    assert sizes[1] < sizes[0]
    assert cold.exists()


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("learn", ["--clusters", "5"], "expected --clusters with gmmc only, got it with moments"),
        ("learn", ["-m", "gmmc", "--samples", "5"], "--samples with maha only, got it with gmmc"),
        ("learn", ["-m", "gmmc", "--clusters", "65"], "from 1 to 64 for 'clusters', got 65"),
        ("learn", ["-m", "maha", "--samples", "many"], "or 'all' for 'samples', got 'many'"),
        ("evaluate", ["--ridge", "1"], "expected --ridge with maha only, got it with moments"),
        ("evaluate", ["-m", "gmmc", "--variance-floor", "-1"], "'variance_floor', got -1"),
    ],
)
def test_options_of_other_methods_are_refused(
    warm: Path, command: str, options: list[str], words: str
) -> None:
    """The exit code is 2, and nothing is learned."""
    path = warm if command == "learn" else warm.parent
    assert words in run(command, str(path), *options, code=2).stderr
