"""Initial networks and the heads on top of them."""

from __future__ import annotations

import torch
from torch import nn

from teachmesh.model.build_backbone import embedded_backbone
from teachmesh_lab.baselines.baseline_nets import build_net, embedded_net, small_net
from teachmesh_lab.baselines.ewc import Ewc, diagonal_fisher
from teachmesh_lab.baselines.fine_tune import FineTune
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.si import SynapticIntelligence
from teachmesh_lab.baselines.supsup import Supsup
from teachmesh_lab.baselines.training_loop import Schedule, learn
from tests.lab.baselines.sample_streams import make_stream, multi_head, random_images, weights


def test_the_default_network_is_small_and_determined_by_its_seed() -> None:
    """It has fewer than 300,000 parameters. The state of torch's global generator is restored."""
    before = torch.random.get_rng_state()
    one, two, other = small_net(0), small_net(0), small_net(1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert sum(p.numel() for p in one.parameters()) == 173016
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert one(images).shape == (2, 96)
        assert torch.equal(one(images), two(images))
        assert not torch.equal(one(images), other(images))


def test_the_embedded_trunk_gives_the_frozen_backbones_latents() -> None:
    """Before training they agree up to rounding; the frozen one folds its batch norms."""
    backbone = embedded_backbone("embedded")
    images = torch.randint(
        0, 256, (2, 3, backbone.size, backbone.size), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    net = MultiHead(embedded_net(3), backbone.size, 0)
    with torch.no_grad():
        found = net.latents(images)
    expected = torch.from_numpy(backbone.embed(images).last)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_the_embedded_trunk_is_trained_as_a_whole_and_its_statistics_stay() -> None:
    """At 32 px, every weight gets a gradient, also per image, and masks can be applied."""
    net = MultiHead(embedded_net(0), 32, 0)
    net.add_head(0, 2)
    before = weights(net)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    net.cross_entropy(net.latents(images), 0, torch.tensor([0, 1, 0])).backward()
    assert all(p.grad is not None for p in net.parameters())
    after = weights(net)
    running = [name for name in before if "running" in name]
    assert running
    assert all(torch.equal(before[name], after[name]) for name in running)
    fisher = diagonal_fisher(net, 0, images[:2], torch.tensor([0, 1]))
    assert all(torch.isfinite(tensor).all() for tensor in fisher)
    hyper = {"rate_factor": 1.0, "signed": 0.0, "keep": 0.5}
    masked = Supsup(MultiHead(embedded_net(0), 32, 0), hyper, seed=0)
    assert torch.isfinite(masked.net.latents(images)).all()


def test_heads_do_not_depend_on_earlier_tasks() -> None:
    """Task 3 gets the same initial weights, whether or not tasks 0 to 2 came first."""
    one, two = multi_head(), multi_head()
    for index in range(3):
        one.add_head(index, 2)
    first, second = one.add_head(3, 4), two.add_head(3, 4)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    assert not torch.equal(one.head(0).weight, one.head(1).weight)


class WithExtra(nn.Module):
    """Returns two outputs, of which the last is used, and has an unused layer."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(3, 5)
        self.unused = nn.Linear(5, 2)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled = images.mean((2, 3))
        return pooled, self.used(pooled)


def test_weights_that_the_network_does_not_use_are_left_alone() -> None:
    """A network may contain its own classifier, which is not used."""
    task = make_stream(1)[0]
    for kind, hyper in (
        (FineTune, {}),
        (Ewc, {"strength": 1.0, "images": 5.0}),
        (SynapticIntelligence, {"strength": 1.0, "damping": 0.1}),
    ):
        net = MultiHead(build_net(lambda _: WithExtra(), 0), 8, 0)
        before = weights(net)
        baseline = kind(net, hyper, 0)
        baseline.begin(0, task)
        learn(baseline, [0], Schedule(1, 8, 0.01))
        baseline.end(0)
        after = weights(net)
        assert torch.equal(before["trunk.unused.weight"], after["trunk.unused.weight"])
        assert not torch.equal(before["trunk.used.weight"], after["trunk.used.weight"])


def test_images_are_scaled_to_one() -> None:
    """A trunk gets float32 values from 0 to 1."""
    net = multi_head()
    prepared = net.prepare(random_images(4))
    assert prepared.dtype == torch.float32
    assert 0 <= float(prepared.min()) < 0.1
    assert 0.9 < float(prepared.max()) <= 1
