"""Hyper-parameters are chosen on validation images of the first tasks only."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from teachmesh.errors import DataError, UsageError
from teachmesh_lab.baselines.baseline_registry import BASELINES, run_frozen, run_trained
from teachmesh_lab.baselines.choose_hyperparameters import Trial, choose, narrow, points
from teachmesh_lab.baselines.image_stream import (
    LatentSplit,
    LatentTask,
    PixelSplit,
    PixelTask,
)
from tests.lab.baselines.sample_streams import make_latent_stream, make_stream, tiny_net

GRID = {"a": (1.0, 2.0, 3.0), "b": (0.5,)}


REGULARISING = ("strength", "ridge", "shrinkage")


def test_the_best_candidate_wins_and_ties_go_to_the_last() -> None:
    """The result lists all candidates and their accuracies."""
    found = choose(GRID, lambda hyper: Trial(min(hyper["a"], 2.0) / 4, 5), 3)
    assert found.hyper == {"a": 3.0, "b": 0.5}
    best = choose(GRID, lambda hyper: Trial(1.0 if hyper["a"] == 2.0 else 0.5, 5), 3)
    assert best.hyper == {"a": 2.0, "b": 0.5}
    assert [(hyper["a"], accuracy) for hyper, accuracy in found.tried] == [
        (1.0, 0.25),
        (2.0, 0.5),
        (3.0, 0.5),
    ]
    assert (found.tasks, found.macs) == (3, 15)


def test_grids_list_strong_regularisation_last() -> None:
    """So the last of equally good candidates has the strongest regularisation."""
    found = [
        values
        for info in BASELINES.values()
        for name, values in info.grid.items()
        if name in REGULARISING
    ]
    assert len(found) > 5
    assert all(list(values) == sorted(values) for values in found)


def test_a_tie_of_ranpac_takes_the_strongest_ridge() -> None:
    """On classes far apart every ridge answers all validation images correctly."""
    stream = make_latent_stream(2)
    apart = [dataclasses.replace(task, **far_apart(task)) for task in stream]
    result = run_frozen("ranpac", apart, hyper={"projections": 50.0})
    assert {accuracy for _, accuracy in result.choice.tried} == {1.0}
    assert result.choice.hyper["ridge"] == max(BASELINES["ranpac"].grid["ridge"])


def far_apart(task: LatentTask) -> dict[str, LatentSplit]:
    """Return splits in which every class has a direction of its own."""
    start = 0 if task.name.endswith("0") else 6
    named = dict(zip(("train", "validation", "test"), task.splits, strict=True))
    return {
        name: LatentSplit(
            np.eye(12, dtype=np.float32)[split.labels + start] + split.latents / 1000,
            split.labels,
        )
        for name, split in named.items()
    }


def test_means_of_equal_accuracies_are_a_tie() -> None:
    """The mean of three accuracies depends on their order by rounding, which decides nothing."""
    means = {1.0: (0.1 + 0.2 + 0.3) / 3, 2.0: (0.3 + 0.2 + 0.1) / 3, 3.0: 0.1}
    assert means[1.0] > means[2.0]
    found = choose(GRID, lambda hyper: Trial(means[hyper["a"]], 5), 3)
    assert found.hyper["a"] == 2.0


def test_given_values_are_not_tried() -> None:
    """A grid with a single point needs no trial."""
    assert points(narrow(GRID, {"a": 7.0}, "x")) == [{"a": 7.0, "b": 0.5}]
    found = choose(narrow(GRID, {"a": 7.0}, "x"), lambda _: pytest.fail("was run"), 3)
    assert found.hyper == {"a": 7.0, "b": 0.5}
    assert found.tried == ()
    with pytest.raises(UsageError, match="expected hyper-parameters of 'x' out of a, b, got 'c'"):
        narrow(GRID, {"c": 1.0}, "x")


def test_later_tasks_and_test_images_do_not_influence_the_choice() -> None:
    """The choice stays the same if these images are replaced."""
    stream = make_stream(3)

    def black(split: PixelSplit) -> PixelSplit:
        return PixelSplit(np.zeros_like(split.images), split.labels)

    def run(tasks: list[PixelTask]) -> object:
        return run_trained("si", tasks, tiny_net, epochs=1, choice_tasks=2).choice.tried

    changed = [dataclasses.replace(task, test=black(task.test)) for task in stream]
    changed[2] = dataclasses.replace(changed[2], validation=black(stream[2].validation))
    assert run(changed) == run(stream)


def test_a_choice_needs_validation_images() -> None:
    """Without them, the hyper-parameters must be given."""
    stream = make_latent_stream(2)
    empty = [
        dataclasses.replace(
            task,
            validation=dataclasses.replace(
                task.validation, latents=task.validation.latents[:0], labels=np.zeros(0, np.int64)
            ),
        )
        for task in stream
    ]
    with pytest.raises(DataError, match="expected validation images in the first 2 tasks"):
        run_frozen("slda", empty)
    result = run_frozen("slda", empty, hyper={"shrinkage": 0.1})
    assert result.choice.hyper == {"shrinkage": 0.1}
    assert np.isnan(result.validation.oracle).all()
