"""The corrective approach: plain answers, corrected answers, refusal of invalid options."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.errors import UsageError
from teachmesh.mapping.accuracies import Given
from teachmesh.mapping.decisions import Decisions, PerTask
from teachmesh_lab.evaluation import corrective, measure
from teachmesh_lab.evaluation.corrective_report import corrective_section
from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate
from tests.conftest import write_task


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Two tasks of three colours."""
    for name in ("warm", "cold"):
        write_task(tmp_path / "tasks", name)
    return tmp_path / "tasks"


def _turned(_: Agent, decisions: Decisions, images: Any, known: Any = None) -> Given:
    """Return a second pass that shifts every class by one if there are images."""
    if images is None:
        return lambda _: decisions
    return lambda _: dataclasses.replace(
        decisions,
        within=decisions.within.replaced(
            {t: np.roll(scores, 1, axis=1) for t, scores in enumerate(decisions.within)}
        ),
    )


@pytest.mark.parametrize("method", ["moments", "maha"])
def test_plain_answers_are_those_of_the_second_pass(
    tasks: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The plain accuracies equal the evaluation's own, also when a second pass changes them."""
    options = EvaluateOptions(tasks, method=method, corrective=0.9, encoder="names")
    before = run_evaluate(options)
    for module in (measure, corrective):
        monkeypatch.setattr(module, "second_passes", _turned)
    after = run_evaluate(options)
    for document in (before, after):
        plain = [entry["right"] for entry in document["corrective"]["plain"]]
        assert plain == pytest.approx([task["final"] for task in document["tasks"]])
    assert after["mean"]["final"] < 0.5 < before["mean"]["final"]


def test_equivalent_classes_win_together(tasks: Path) -> None:
    """A class wins if its posterior and that of its equivalent are the largest sum.

    Without equivalent classes, *direct* stays.
    """
    dog_car = np.log([[0.6, 0.4], [0.8, 0.2]])
    dog_cat = np.log([[0.3, 0.7], [0.5, 0.5]])
    within = PerTask([dog_car, dog_cat].__getitem__, 2)
    task, none = np.log([[0.5, 0.5], [0.75, 0.25]]), PerTask[Any](lambda _: None, 2)
    decisions = Decisions(("a", "b"), (2, 2), task, within, none, none)
    # Task b comes first among all classes: dog 0, cat 1, then dog 2 and car 3 of task a.
    starts, equivalent = np.array([2, 0]), np.eye(4, dtype=bool)
    plain = corrective._best_together(decisions, lambda _: decisions, starts, equivalent)
    assert plain.tolist() == [1, 2]  # cat .35, dogs .3 and .15
    equivalent[0, 2] = equivalent[2, 0] = True
    together = corrective._best_together(decisions, lambda _: decisions, starts, equivalent)
    assert equivalent[together, 0].all()
    document = run_evaluate(EvaluateOptions(tasks, corrective=1.0, encoder="names"))
    assert document["corrective"]["n_equivalent"]["names"] == 0
    assert document["corrective"]["direct_together"]["mean"] == document["mean"]["direct"]


def test_without_class_moments_no_looks_are_claimed(tasks: Path) -> None:
    """Skills of `maha` have no class moments, so classes are compared by names only."""
    options = EvaluateOptions(tasks, method="maha", corrective=0.9, encoder="names")
    found = run_evaluate(options)["corrective"]
    assert not found["looks"]
    assert {row["by"] for row in found["corrected"]} == {"names"} == set(found["n_equivalent"])


@pytest.mark.parametrize(
    ("threshold", "encoder", "said"),
    [
        (1.5, None, "above 0 and up to 1"),
        (0.0, None, "above 0 and up to 1"),
        (float("nan"), None, "above 0 and up to 1"),
        (0.9, "word2vec", "auto, minilm, clip, names"),
        (None, "names", "--corrective"),
    ],
)
def test_nonsense_is_refused_before_anything_is_read(
    tmp_path: Path, threshold: float | None, encoder: str | None, said: str
) -> None:
    """Options are checked first: here the folder of tasks does not exist."""
    options = EvaluateOptions(tmp_path / "nowhere", corrective=threshold, encoder=encoder)
    with pytest.raises(UsageError, match=said):
        run_evaluate(options)


def test_the_report_claims_looks_only_where_some_took_part(tasks: Path) -> None:
    """Without class moments the page has neither the sentence nor the column about looks."""
    for method, looked in (("maha", False), ("moments", True)):
        options = EvaluateOptions(tasks, method=method, corrective=0.9, encoder="names")
        found = run_evaluate(options)["corrective"]
        page = corrective_section(found, lambda header, _: " ".join(header), lambda *_: "")
        assert ("and look alike" in page) == looked
        assert ("no looks" in page) != looked
