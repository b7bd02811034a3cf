"""The study of task orders: search, both rules, and unchanged bits of `moments`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from teachmesh.data.tasks import Split, Task
from teachmesh.mapping.metric import Metric
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh_lab.baselines.baseline_registry import BASELINES, run_frozen
from teachmesh_lab.baselines.closed_forms import choose_frozen
from teachmesh_lab.studies.reuse_tasks import StudyTask
from teachmesh_lab.studies.study_cells import StudyCell, StudyResult
from teachmesh_lab.studies.task_orders import (
    Deciders,
    changed_scores,
    measure_orders,
    orders_table,
    search_orders,
    tuned_methods,
)
from tests.lab.baselines.sample_streams import make_latent_stream

STREAM = make_latent_stream(4)
DIM = 12


def test_the_search_finds_the_worst_of_all_sets() -> None:
    """Oracle: all sets of three of nine tasks, on a function without flat places."""

    def accuracy(deciders: Deciders) -> float:
        return sum(task * task for task in deciders) / 1000

    every = [frozenset(x) for x in itertools.combinations(range(9), 3)]
    found = search_orders(9, 3, accuracy, 10)
    assert found.worst == min(map(accuracy, every))
    assert found.deciders == {0, 1, 2}
    assert len(found.random) == 10
    assert min(found.random) >= found.worst
    assert found == search_orders(9, 3, accuracy, 10)


def test_one_task_may_be_all_there_is() -> None:
    """Without another task there is nothing to swap."""
    assert search_orders(1, 1, lambda _: 0.5, 2).tried == 1


def test_the_last_rule_is_a_choice_on_each_task_alone() -> None:
    """Oracle: a whole run for each task with the constants that this task would choose."""
    values = measure_orders("slda", "last", STREAM, 12)
    expected = [
        run_frozen("slda", STREAM, hyper=choose_frozen("slda", [task]).hyper).test.last_mean("free")
        for task in STREAM
    ]
    assert values["worst"] == min(expected)
    assert set(values["random"]) <= set(expected)
    assert expected[[task.name for task in STREAM].index(values["deciders"][0])] == min(expected)


def test_methods_without_constants_are_left_out() -> None:
    """`ncm` has nothing to choose."""
    assert "ncm" in BASELINES
    assert "ncm" not in tuned_methods()
    assert {"slda", "ranpac-multi", "fecam"} <= set(tuned_methods())


def study_task(number: int) -> StudyTask:
    """Make a task of three Gaussian classes."""
    random = np.random.default_rng(number)
    labels = np.repeat(np.arange(3), 12)

    def embed(split: Split, *_: object) -> LabelledLatents:
        latents = random.standard_normal((len(labels), DIM)).astype(np.float32)
        return LabelledLatents(Latents(latents[:, :4], latents), labels)

    names = ("a", "b", "c")
    none = Split((), np.zeros(0, dtype=np.int64))
    return StudyTask(
        Task(f"task {number}", names, none, none, none, "", None, (), ()),
        embed,
        lambda: Metric.identity(DIM),
    )


def test_no_score_of_moments_changes_with_the_order() -> None:
    """Scores are compared bit by bit."""
    assert changed_scores([study_task(number) for number in range(5)], 4) == 0


@pytest.mark.parametrize("rule", ["first", "last"])
def test_the_table_has_a_row_for_each_rule(rule: str) -> None:
    """Accuracies are in per cent."""
    arguments = {"method": "slda", "rule": rule, "orders": 2}
    cell = StudyCell("orders", f"orders/slda/{rule}", arguments, "", "")
    values = {"random": [0.5, 0.7], "worst": 0.4, "deciders": ["a"], "tried": 9}
    (text,) = orders_table([StudyResult(cell, values, {})])
    count = {"first": 3, "last": 1}[rule]
    assert f"| `slda` | {rule} {count} | 60.0 | 14.1 | 70.0 | 40.0 | 9 |" in text
