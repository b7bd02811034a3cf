"""SUPSUP's own task inference against the derivative of the definition."""

from __future__ import annotations

import numpy as np
import torch
from torch.func import functional_call
from torch.nn import functional

from teachmesh_lab.baselines.supsup import Supsup
from teachmesh_lab.baselines.supsup_inference import infer_tasks
from teachmesh_lab.baselines.training_loop import Schedule, answer_all
from tests.lab.baselines.sample_streams import learn_all, make_stream, multi_head

HYPER = {"rate_factor": 10.0, "signed": 1.0, "keep": 0.5, "infer": 1.0}
STREAM = make_stream(3)


def learned() -> Supsup:
    """Learn three tasks of 3, 2 and 3 classes."""
    baseline = Supsup(multi_head(), HYPER, seed=0)
    learn_all(baseline, STREAM, Schedule(epochs=12, batch_size=8, rate=0.01))
    return baseline


def slopes_by_definition(baseline: Supsup, image: torch.Tensor) -> list[float]:
    """Differentiate the entropy with respect to the weights of all masks."""
    tasks = [baseline._masked(index) for index in range(3)]
    shares = torch.full((3,), 1 / 3, requires_grad=True)
    heads = [functional.pad(t.head, (0, 0, 0, 3 - len(t.head))) for t in tasks]
    trunk = {
        name: sum(share * t.trunk[name] for share, t in zip(shares, tasks, strict=True))
        for name in tasks[0].trunk
    }
    latents = functional_call(baseline.net.trunk, trunk, (baseline.net.prepare(image[None]),))
    mixed = sum(share * head for share, head in zip(shares, heads, strict=True))
    chances = (latents @ mixed.T).log_softmax(1)  # type: ignore[union-attr]
    (slopes,) = torch.autograd.grad(-(chances.exp() * chances).sum(), shares)
    return [float(value) for value in slopes]


def test_the_chosen_task_has_the_steepest_fall_of_entropy() -> None:
    """Oracle: autograd through the mixture of all masks, one image at a time."""
    baseline = learned()
    images = torch.from_numpy(STREAM[1].test.images)
    found = baseline.infer(images)  # also sets the layers to take masked weights as they are
    assert found is not None
    expected = [int(np.argmin(slopes_by_definition(baseline, image))) for image in images]
    assert found.tolist() == expected


def test_answers_without_an_oracle_use_the_inferred_task() -> None:
    """The oracle's answers stay as they are; they are given where the inferred task is right.

    How often that is would be no law: with a network this small it is hardly more than by chance.
    """
    baseline = learned()
    with_inference = answer_all(baseline, STREAM, 2)
    baseline.hyper["infer"] = 0.0
    without = answer_all(baseline, STREAM, 2)
    for index, (both, plain) in enumerate(zip(with_inference.test, without.test, strict=True)):
        assert (both.oracle == plain.oracle).all()
        assert plain.free is None
        assert both.free is not None
        mine = both.free[:, 0] == index
        assert (both.free[mine, 1] == both.oracle[mine]).all()


def test_inference_is_paid_when_answering() -> None:
    """A forward and a backward pass per image, and a product per weight and task."""
    baseline = learned()
    tasks = [baseline._masked(index) for index in range(3)]
    for layer in baseline.layers:
        layer.mask = torch.ones((), dtype=torch.bool)
    costs = baseline.net.costs
    before = costs.test
    infer_tasks(baseline.net, tasks, torch.from_numpy(STREAM[0].test.images))
    numbers = sum(weight.numel() for weight in tasks[0].trunk.values()) + 3 * baseline.net.dim
    each = costs.per_image.forward + costs.per_image.backward + 3 * numbers
    assert costs.test - before == len(STREAM[0].test) * each
