"""Costs counted for one image and multiplied, against counting all operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from teachmesh.model.macs import count_macs
from teachmesh_lab.baselines.baseline import Baseline
from teachmesh_lab.baselines.baseline_nets import build_net, small_net
from teachmesh_lab.baselines.baseline_registry import BASELINES, trained_baseline
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.training_costs import pass_cost
from teachmesh_lab.baselines.training_loop import Schedule, answer_all, learn
from tests.lab.baselines.sample_streams import SIZE, TinyNet, make_stream

ONCE = Schedule(epochs=1, batch_size=8, rate=0.01)
TRAINED = [name for name, info in BASELINES.items() if info.kind == "trained"]


class Plain(nn.Module):
    """Convolutions without groups, whose backward passes torch counts correctly."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.second = nn.Conv2d(6, 10, 3, 1, 1)
        self.last = nn.Linear(10, 12)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(images))))
        return torch.relu(self.last(x.mean((2, 3))))


def make(name: str, factory: Callable[[], nn.Module] = Plain) -> Baseline:
    """Make a fresh baseline with the first value of each hyper-parameter."""
    net = MultiHead(build_net(lambda _: factory(), 0), SIZE, 0)
    hyper = {key: values[0] for key, values in BASELINES[name].grid.items()}
    return trained_baseline(name, net, hyper, seed=0)


@pytest.mark.parametrize("name", TRAINED)
def test_recorded_costs_equal_counted_operations(name: str) -> None:
    """Oracle: every operation of learning three tasks and answering, counted as it runs.

    Importances are left out, because copies of weights turn layers into grouped ones, whose
    backward passes torch overcounts.
    """
    baseline, stream = make(name), make_stream(3)
    costs = baseline.net.costs

    def learn_one(index: int) -> None:
        learn(baseline, [index], ONCE)

    for index, task in enumerate(stream):
        before = costs.forward + costs.backward
        begun = count_macs(lambda index=index, task=task: baseline.begin(index, task))  # type: ignore[misc]
        counted = begun + count_macs(lambda index=index: learn_one(index))  # type: ignore[misc]
        assert costs.forward + costs.backward - before == counted
        baseline.end(index)
    before = costs.test
    assert count_macs(lambda: answer_all(baseline, stream, 2)) == costs.test - before


def test_a_training_pass_is_counted_as_torch_does() -> None:
    """It has a forward pass, gradients of weights and gradients of all inputs except the image."""
    for factory in (Plain, lambda: small_net(0)):
        net = factory()
        cost = pass_cost(net, 32)
        image = torch.zeros(1, 3, 32, 32)
        assert count_macs(lambda: net(image)) == cost.forward  # noqa: B023 - called at once
        both = count_macs(lambda: net(image).sum().backward())  # noqa: B023
        assert both == cost.forward + cost.backward


def test_grouped_convolutions_cost_three_forward_passes_to_train() -> None:
    """By hand, because torch's count for their weight gradients is too large."""
    cost = pass_cost(TinyNet(), SIZE)
    first, second = 4 * 4 * 8 * 3 * 9, 4 * 4 * 16 * 4 * 9
    assert cost.forward == first + second
    assert cost.backward == first + 2 * second


def test_importances_cost_a_pass_of_their_images() -> None:
    """They cost a training pass without the head's gradient; EWC also draws labels."""
    stream = make_stream(1)
    for name, extra_forward in (("mas", 0), ("ewc", 1)):
        baseline = make(name)
        baseline.begin(0, stream[0])
        costs, n = baseline.net.costs, len(stream[0].train)
        baseline.end(0)
        head = 12 * 3
        assert costs.forward == (1 + extra_forward) * n * (costs.per_image.forward + head)
        assert costs.backward == n * (costs.per_image.backward + head)
