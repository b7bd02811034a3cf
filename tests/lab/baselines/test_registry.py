"""All baselines through `run_trained` and `run_frozen`: reproducible, and without leaks."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from teachmesh.errors import BackboneError, DataError, UsageError
from teachmesh_lab.baselines.baseline_registry import BASELINES, run_frozen, run_trained
from teachmesh_lab.baselines.image_stream import PixelSplit, PixelTask
from teachmesh_lab.baselines.stream_result import Answers, StreamResult
from tests.lab.baselines.sample_streams import make_latent_stream, make_stream, tiny_net

TRAINED = [name for name, info in BASELINES.items() if info.kind == "trained"]
FROZEN = [name for name, info in BASELINES.items() if info.kind == "frozen"]
STREAM = make_stream(3)
LATENTS = make_latent_stream()


def run(name: str, stream: list[PixelTask] = STREAM, seed: int = 0) -> StreamResult:
    """Run one epoch with the first value of each hyper-parameter."""
    hyper = {key: values[0] for key, values in BASELINES[name].grid.items()}
    return run_trained(
        name, stream, tiny_net, epochs=1, batch_size=8, rate=0.01, hyper=hyper, seed=seed
    )


@cache
def first_run(name: str) -> StreamResult:
    """Run a baseline once on the whole stream; other runs are compared with it."""
    return run(name)


def answers_of(result: StreamResult) -> bytes:
    """Return all test answers after the last task."""
    return b"".join(task.oracle.tobytes() for task in result.answers.test)


def document(result: StreamResult) -> str:
    """Return the result as JSON without seconds."""
    found = result.to_json()
    for part, key in (("costs", "learn_s"), ("costs", "test_s"), ("choice", "wall_s")):
        del found[part][key]
    return json.dumps(found, sort_keys=True, allow_nan=False)


def test_all_baselines_are_registered() -> None:
    """Names are those of the command line and of results."""
    regularisers = {"ewc", "online-ewc", "si", "mas", "lwf"}
    others = {"er", "psp", "supsup", "parallel-supsup", "fine-tune", "joint"}
    assert set(TRAINED) == regularisers | others
    closed_forms = {
        "ncm",
        "slda",
        "ranpac",
        "layup",
        "fecam",
        "lr-rgda",
        "gh-nb",
        "gh-lda",
        "gh-qda",
    }
    assert set(FROZEN) == {name + ending for name in closed_forms for ending in ("", "-multi")}
    assert all(info.source for info in BASELINES.values())
    assert all(BASELINES[name].oracle for name in TRAINED)
    assert {name for name, info in BASELINES.items() if info.parallel} == {
        "parallel-supsup",
        *FROZEN,
    }


@pytest.mark.parametrize("name", TRAINED)
def test_equal_seeds_give_identical_runs_and_other_seeds_differ(name: str) -> None:
    """Runs are equal bit for bit, independent of torch's global generator."""
    one = first_run(name)
    torch.rand(3)
    two = run(name)
    assert document(one) == document(two)
    assert answers_of(one) == answers_of(two)
    assert answers_of(run(name, seed=1)) != answers_of(one)


@pytest.mark.parametrize("name", FROZEN)
def test_two_runs_on_latents_are_identical(name: str) -> None:
    """Runs on latents are equal bit for bit."""
    hyper = {"projections": 30.0} if name.startswith("ranpac") else {}
    one, two = (run_frozen(name, LATENTS, hyper=hyper) for _ in range(2))
    assert document(one) == document(two)
    sizes = [len(values) for key, values in BASELINES[name].grid.items() if key not in hyper]
    assert len(one.choice.tried) in (math.prod(sizes), 0 if math.prod(sizes) == 1 else -1)


@pytest.mark.parametrize("name", TRAINED)
def test_learning_sees_neither_test_nor_validation_images(name: str) -> None:
    """If these pixels are replaced, answers for unchanged test images stay the same."""
    noise = np.random.default_rng(0)

    def other(split: PixelSplit) -> PixelSplit:
        pixels = noise.integers(0, 256, split.images.shape).astype(np.uint8)
        return PixelSplit(pixels, split.labels)

    changed = [
        dataclasses.replace(task, validation=other(task.validation), test=other(task.test))
        for task in STREAM[:-1]
    ]
    one, two = first_run(name), run(name, [*changed, STREAM[-1]])
    assert (one.answers.test[-1].oracle == two.answers.test[-1].oracle).all()


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "joint"])
def test_later_tasks_change_nothing_of_the_first_rows(name: str) -> None:
    """A shorter stream gives equal rows of the accuracy matrix."""
    whole, short = first_run(name), run(name, STREAM[:2])
    np.testing.assert_array_equal(whole.test.oracle[:2, :2], short.test.oracle)
    np.testing.assert_array_equal(whole.validation.oracle[:2, :2], short.validation.oracle)
    assert whole.costs.learn_macs[:2] == short.costs.learn_macs


def test_matrices_are_lower_triangles_of_right_answers() -> None:
    """Oracle: recomputed from the answers passed to `after_task`."""
    seen: list[Answers] = []
    steps: list[tuple[int, int]] = []
    result = run_trained(
        "fine-tune",
        STREAM,
        tiny_net,
        epochs=1,
        after_task=lambda index, answers: seen.append(answers),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert [answers.after for answers in seen] == [0, 1, 2]
    for i, answers in enumerate(seen):
        assert len(answers.test) == i + 1
        assert np.isnan(result.test.oracle[i, i + 1 :]).all()
        for j, found in enumerate(answers.test):
            truth = STREAM[j].test.labels
            assert result.test.oracle[i, j] == np.mean(found.oracle == truth)
            assert found.free is not None
            right = found.free == np.stack([np.full(len(truth), j), truth], axis=1)
            assert result.test.free[i, j] == np.mean(right.all(axis=1))
            assert result.test.mapper[i, j] == np.mean(right[:, 0])


def test_joint_learns_once_and_forgets_nothing() -> None:
    """Its matrix has only a last row, and that is above the row of fine-tuning."""
    stream = make_stream(6)
    joint, plain = (
        run_trained(name, stream, tiny_net, epochs=8, batch_size=8, rate=0.02)
        for name in ("joint", "fine-tune")
    )
    assert np.isnan(joint.test.oracle[:5]).all()
    assert joint.test.last_mean("oracle") > plain.test.last_mean("oracle") + 0.05
    assert joint.test.last_mean("oracle") > 0.9
    assert sum(joint.costs.learn_macs) == sum(plain.costs.learn_macs)


def test_methods_without_a_shared_trunk_need_the_oracle() -> None:
    """PSP and SUPSUP need the task before they can process an image."""
    for name in ("psp", "supsup", "parallel-supsup"):
        result = first_run(name)
        assert np.isnan(result.test.free).all()
        assert result.answers.test[0].free is None


def test_parallel_supsup_answers_as_supsup() -> None:
    """Encoding and decoding does not change a mask."""
    one, two = first_run("supsup"), first_run("parallel-supsup")
    assert answers_of(one) == answers_of(two)
    assert one.costs.task_bytes is None
    assert two.costs.task_bytes is not None
    assert sum(two.costs.task_bytes) == two.costs.total_bytes == one.costs.total_bytes


def test_invalid_arguments_raise_clear_errors() -> None:
    """Unknown names, invalid settings, streams and networks."""
    with pytest.raises(UsageError, match=r"got 'ewk' \(did you mean 'ewc'\?\)"):
        run_trained("ewk", STREAM, tiny_net)
    with pytest.raises(
        UsageError, match="expected a baseline out of ncm, ncm-multi, slda, .*, got 'ewc'"
    ):
        run_frozen("ewc", LATENTS)
    with pytest.raises(UsageError, match="expected at least 1 epoch"):
        run_trained("fine-tune", STREAM, tiny_net, epochs=0)
    with pytest.raises(DataError, match="expected at least one task"):
        run_trained("fine-tune", [], tiny_net)
    with pytest.raises(DataError, match="got one twice"):
        run_trained("fine-tune", [STREAM[0], STREAM[0]], tiny_net)
    with pytest.raises(BackboneError, match=r"expected a network that gives \(N, D\) latents"):
        run_trained("fine-tune", STREAM, lambda _: nn.Conv2d(3, 4, 1))
