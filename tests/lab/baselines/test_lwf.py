"""Learning without Forgetting: targets and effect of distillation."""

from __future__ import annotations

import copy

import torch
from torch.nn import functional

from teachmesh_lab.baselines.fine_tune import FineTune
from teachmesh_lab.baselines.lwf import Lwf
from teachmesh_lab.baselines.training_loop import learn
from tests.lab.baselines.sample_streams import (
    QUICK,
    learn_all,
    make_stream,
    multi_head,
    same_bits,
    weights,
)


def make(strength: float = 1.0) -> Lwf:
    """Make a baseline on a fresh network."""
    return Lwf(multi_head(), {"strength": strength, "temperature": 2.0, "warm_up": 0.0}, seed=0)


def test_old_logits_are_those_of_the_old_network() -> None:
    """They stay equal while the network learns a new task, for every old head."""
    stream = make_stream(3)
    baseline = make()
    learn_all(baseline, stream[:2])
    old = copy.deepcopy(baseline.net)
    baseline.begin(2, stream[2])
    images = baseline.data[2].images
    with torch.no_grad():
        expected = {index: old.logits(old.latents(images), index) for index in (0, 1)}
    rows = torch.tensor([5, 0, 3])
    for index in (0, 1):
        torch.testing.assert_close(baseline.old_logits(index, rows), expected[index][rows])
    learn(baseline, [2], QUICK)
    assert not same_bits(weights(old.trunk), weights(baseline.net.trunk))
    for index in (0, 1):
        torch.testing.assert_close(baseline.old_logits(index, rows), expected[index][rows])


def test_the_loss_is_cross_entropy_plus_distillation_of_every_old_task() -> None:
    """Oracle: the formula of the paper, image by image."""
    stream = make_stream(3)
    baseline = make(strength=0.7)
    learn_all(baseline, stream[:2])
    old = copy.deepcopy(baseline.net)
    baseline.begin(2, stream[2])
    learn(baseline, [2], QUICK)
    net, data, rows = baseline.net, baseline.data[2], torch.tensor([1, 4, 6, 7])
    total = torch.zeros(())
    for row in rows.tolist():
        image = data.images[row : row + 1]
        chances = net.logits(net.latents(image), 2).softmax(1)[0]
        total = total - torch.log(chances[data.labels[row]])
        for index in (0, 1):
            before = (old.logits(old.latents(image), index) / 2).softmax(1)[0]
            now = (net.logits(net.latents(image), index) / 2).softmax(1)[0]
            total = total - 0.7 * (before * torch.log(now)).sum()
    torch.testing.assert_close(baseline.loss(2, rows), total / 4)


def test_strength_zero_is_fine_tuning_of_the_trunk() -> None:
    """They agree up to rounding, because the other terms have a factor of 0."""
    stream = make_stream()
    plain = learn_all(FineTune(multi_head(), {}, seed=0), stream)
    distilled = learn_all(make(strength=0.0), stream)
    for one, two in zip(plain.net.parameters(), distilled.net.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_distillation_keeps_old_answers() -> None:
    """On the new task's images, distillation keeps the old head closer to its old answers."""
    stream = make_stream(2)
    distances = []
    for strength in (0.0, 10.0):
        baseline = make(strength)
        learn_all(baseline, stream[:1])
        baseline.begin(1, stream[1])
        before = baseline.old_logits(0, torch.arange(len(baseline.data[1]))).softmax(1)
        learn(baseline, [1], QUICK)
        with torch.no_grad():
            latents = baseline.net.latents(baseline.data[1].images)
            now = baseline.net.logits(latents, 0).log_softmax(1)
        distances.append(float(functional.kl_div(now, before, reduction="batchmean")))
    assert distances[1] < distances[0] / 2


def test_no_image_is_kept() -> None:
    """After a task, its images and recorded answers are gone."""
    baseline = make()
    learn_all(baseline, make_stream(2))
    assert baseline.data == {}
    assert len(baseline.old_latents) == 0


def test_the_warm_up_trains_the_new_head_alone() -> None:
    """It lowers the new task's loss; the trunk and the old heads keep their bits."""
    stream = make_stream(2)
    baseline = Lwf(multi_head(), {"strength": 1.0, "warm_up": 5.0}, seed=0)
    learn_all(baseline, stream[:1])
    baseline.begin(1, stream[1])
    rows = torch.arange(len(baseline.data[1]))
    before, loss = weights(baseline.net), float(baseline.loss(1, rows).detach())
    baseline.warm_up(1, 8, 0.05)
    after = weights(baseline.net)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"heads.1.weight", "heads.1.bias"}
    assert float(baseline.loss(1, rows).detach()) < loss
    assert len(baseline.old_latents) == len(rows)
