"""Equivalent classes of other tasks in `predict`, by each way of comparing names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.agent.answers.answer_writer import mark_equivalent
from teachmesh.data.text_files import encoder_is_installed
from teachmesh.reuse.text_encoders import NameComparer
from tests.cli.test_commands import run, run_json
from tests.conftest import write_task


class Synonyms:
    """An encoder with one vector for both words for a bicycle."""

    name = "synonyms"

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (N, 3) unit vectors."""
        kinds = [("bike" in s or "bicycle" in s, "ball" in s, "tree" in s) for s in sentences]
        return np.array(kinds, dtype=np.float32)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image of a bike; two learned tasks call it a bike and a bicycle."""
    for name, first, seed in (("one", "bike", 0), ("two", "bicycle", 7)):
        folder = write_task(tmp_path / name, "warm", seed=seed)
        for old, new in zip(sorted(folder.iterdir()), (first, "ball", "tree"), strict=True):
            old.rename(folder / new)
        run("learn", str(folder.rename(folder.with_name(name))))
    return tmp_path / "one" / "one" / "bike" / "00.png"


def test_another_name_for_the_same_thing_needs_an_encoder(image: Path) -> None:
    """The names differ after cleaning, but their vectors are equal."""
    agent = Agent()
    answers = agent.predict_many(image)
    assert answers.predictions[0].same_as == ()
    (found,) = mark_equivalent(answers, agent.sources(), NameComparer(Synonyms())).predictions
    assert {found.class_name, found.same_as[0].class_name} == {"bike", "bicycle"}
    assert found.probability == answers.predictions[0].probability
    assert found.probability_together is None  # the posterior of the class found later is unknown


@pytest.mark.skipif(not encoder_is_installed(), reason="the text encoder is not installed")
def test_predict_takes_an_encoder(image: Path) -> None:
    """The command line gives this result with the real encoder."""
    document = run_json("predict", str(image))
    (plain,) = document["predictions"]
    assert (document["encoder"], plain["same_as"]) == ("names", [])
    document = run_json("predict", str(image), "--encoder", "minilm")
    (found,) = document["predictions"]
    assert {found["class"], found["same_as"][0]["class"]} == {"bike", "bicycle"}
    assert document["encoder"] == "all-minilm-l6-v2"
    shown = run("predict", str(image), "--encoder", "minilm").stdout
    assert "(names compared by all-minilm-l6-v2)" in shown


def test_an_unknown_encoder_is_one_sentence(image: Path) -> None:
    """The message lists the known encoders."""
    document = json.loads(run("predict", str(image), "--encoder", "x", "--json", code=2).stdout)
    assert "auto, minilm, clip, names" in document["message"]
