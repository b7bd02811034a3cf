"""Supermasks: fixed weights, bit masks, and agents that exchange masks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from teachmesh.errors import DataError
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.parallel_supsup import ParallelSupsup
from teachmesh_lab.baselines.supsup import Supermask, Supsup
from teachmesh_lab.baselines.training_loop import Schedule, answer_all, learn
from tests.lab.baselines.sample_streams import (
    QUICK,
    SIZE,
    learn_all,
    make_stream,
    multi_head,
    same_bits,
    weights,
)

HYPER = {"rate_factor": 10.0, "signed": 1.0, "keep": 0.5}
LONGER = Schedule(epochs=12, batch_size=8, rate=0.01)


def fixed(net: nn.Module) -> dict[str, torch.Tensor]:
    """Copy all parameters and buffers except the scores."""
    return {name: tensor for name, tensor in weights(net).items() if "scores" not in name}


def predictions(baseline: Supsup, stream: list[PixelTask], last: int) -> list[list[int]]:
    """Return the answers for the test images of tasks 0 to `last`."""
    return [task.oracle.tolist() for task in answer_all(baseline, stream, last).test]


def test_the_weights_never_change() -> None:
    """Learning three tasks changes only scores, also in heads."""
    baseline = Supsup(multi_head(), HYPER, seed=0)
    stream = make_stream(3)
    before = fixed(baseline.net)
    for index, task in enumerate(stream):
        baseline.begin(index, task)
        before |= {k: v for k, v in fixed(baseline.net).items() if k not in before}
    baseline = Supsup(multi_head(), HYPER, seed=0)
    learn_all(baseline, stream)
    assert same_bits(before, fixed(baseline.net))
    trained = [name for name, p in baseline.net.named_parameters() if p.requires_grad]
    assert all(name.endswith("scores") for name in trained)


def test_later_tasks_change_no_answer_of_an_old_task() -> None:
    """Masks of different tasks are independent."""
    stream = make_stream(3)
    baseline = Supsup(multi_head(), HYPER, seed=0)
    learn_all(baseline, stream[:1])
    first = predictions(baseline, stream, 0)
    learn_all(baseline, stream)
    assert predictions(baseline, stream, 2)[0] == first[0]


def test_a_mask_keeps_the_largest_scores_and_exactly_its_share() -> None:
    """Oracle: sorted scores."""
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    for keep, kept in ((0.5, 15), (0.3, 9), (1.0, 30), (0.001, 1)):
        mask = Supermask(weight, keep)
        mask.restart(torch.Generator().manual_seed(1))
        chosen = mask.chosen()
        order = mask.scores.detach().abs().flatten().argsort(descending=True)
        assert int(chosen.sum()) == kept
        assert chosen.flatten()[order[:kept]].all()


def test_the_masks_gradient_goes_straight_to_the_scores() -> None:
    """The gradient of a score s is weight times sign of s, whether the weight is kept or not."""
    weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    mask = Supermask(weight, 0.5)
    mask.restart(torch.Generator().manual_seed(1))
    out = mask(weight)
    assert (out == weight * mask.chosen()).all()
    upstream = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    (out * upstream).sum().backward()
    torch.testing.assert_close(mask.scores.grad, upstream * weight * mask.scores.detach().sign())


def test_masks_over_random_signs_learn() -> None:
    """All tasks are far above chance, although weights are only signs times a constant."""
    stream = make_stream(2)
    baseline = Supsup(MultiHead(build_net(lambda _: Wide(), 0), SIZE, 0), HYPER, seed=0)
    layer = baseline.net.trunk.get_parameter("first.parametrizations.weight.original")
    assert len(layer.abs().unique()) == 1
    learn_all(baseline, stream, LONGER)
    for task, answers in zip(stream, predictions(baseline, stream, 1), strict=True):
        right = sum(a == b for a, b in zip(answers, task.test.labels.tolist(), strict=True))
        assert right / len(answers) > 0.75


class Wide(nn.Module):
    """Wide enough for a useful random subnetwork."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, 2, 1)
        self.second = nn.Linear(32, 32)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.first(images * 2 - 1)).mean((2, 3))
        return torch.relu(self.second(pooled))


def test_unsigned_weights_are_unchanged() -> None:
    """A pretrained network can be masked without changes."""
    net = multi_head()
    before = weights(net.trunk)
    Supsup(net, {**HYPER, "signed": 0.0}, seed=0)
    after = weights(net.trunk)
    original = "first.parametrizations.weight.original"
    assert (after[original] == before["first.weight"]).all()


def test_a_second_agent_needs_only_the_masks() -> None:
    """It derives the weights from the seed and may receive masks in any order."""
    stream = make_stream(3)
    teacher = ParallelSupsup(multi_head(), HYPER, seed=0)
    learn_all(teacher, stream)
    student = ParallelSupsup(multi_head(), HYPER, seed=0)
    for index in (2, 0, 1):
        student.receive(index, len(stream[index].classes), teacher.encode(index))
    assert predictions(student, stream, 2) == predictions(teacher, stream, 2)
    assert student.encode(1) == teacher.encode(1)


def test_parallel_agents_learn_the_masks_that_one_agent_would() -> None:
    """A mask depends on the task and its position, not on earlier tasks."""
    stream = make_stream(3)
    alone = Supsup(multi_head(), HYPER, seed=0)
    learn_all(alone, stream)
    agent = ParallelSupsup(multi_head(), HYPER, seed=0)
    agent.begin(2, stream[2])
    learn(agent, [2], QUICK)
    agent.end(2)
    assert agent.encode(2) == alone.encode(2)


def test_a_mask_is_encoded_as_one_bit_per_weight() -> None:
    """Trunk and head have 216 + 576 weights and 16 per class, at eight per byte."""
    stream = make_stream(2)
    baseline = ParallelSupsup(multi_head(), HYPER, seed=0)
    learn_all(baseline, stream)
    assert baseline.task_bytes(0) == -(-(216 + 576 + 3 * 16) // 8)
    assert {name: a.nbytes for name, a in baseline.state().items()} == {
        "masks.0": baseline.task_bytes(0),
        "masks.1": baseline.task_bytes(1),
    }


def test_a_mask_of_another_network_is_refused() -> None:
    """The message gives both sizes."""
    baseline = ParallelSupsup(multi_head(), HYPER, seed=0)
    with pytest.raises(DataError, match=r"expected a mask of 105 bytes, got 7"):
        baseline.receive(0, 3, bytes(7))
