"""Batch norms: frozen by default, or with statistics that every task learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from teachmesh_lab.baselines.baseline import Baseline
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.baseline_registry import trained_baseline
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.parallel_supsup import ParallelSupsup
from tests.lab.baselines.sample_streams import SIZE, learn_all, make_stream, weights


class NormNet(nn.Module):
    """A convolution with a batch norm; 8 latents of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.norm(self.first(images))).mean((2, 3))


HYPER = {"rate_factor": 1.0, "signed": 1.0}


def learned(name: str, *, running: bool, n_tasks: int = 2) -> Baseline:
    """Learn some tasks with a fresh baseline."""
    net = MultiHead(build_net(lambda _: NormNet(), 0), SIZE, 0, running_norms=running)
    hyper = HYPER if "supsup" in name else {}
    return learn_all(trained_baseline(name, net, hyper, seed=0), make_stream(n_tasks))


def test_frozen_norms_keep_their_statistics_and_running_ones_learn_them() -> None:
    """Statistics that were learned are part of the state that the next agent gets."""
    frozen, running = (learned("fine-tune", running=on) for on in (False, True))
    assert torch.equal(weights(frozen.net)["trunk.norm.running_mean"], torch.zeros(8))
    assert not any(name.startswith("norms") for name in frozen.state())
    mean = weights(running.net)["trunk.norm.running_mean"]
    assert mean.abs().min() > 0
    assert (running.state()["norms.0"] == mean.numpy()).all()


def test_answers_do_not_change_the_statistics() -> None:
    """An image's latents do not depend on the other images of its batch."""
    baseline = learned("fine-tune", running=True)
    images = torch.from_numpy(make_stream(1)[0].test.images)
    before = weights(baseline.net)["trunk.norm.running_mean"]
    with torch.no_grad():
        together, alone = baseline.net.latents(images), baseline.net.latents(images[:1])
    torch.testing.assert_close(together[:1], alone)
    assert torch.equal(before, weights(baseline.net)["trunk.norm.running_mean"])


@pytest.mark.parametrize("name", ["supsup", "parallel-supsup"])
def test_masks_have_statistics_of_their_own(name: str) -> None:
    """Task 0 has the statistics that it has when it is learned alone."""
    both, one = learned(name, running=True), learned(name, running=True, n_tasks=1)
    for baseline in (both, one):
        baseline.select(0)
    for ours, theirs in zip(both.net.norm_statistics, one.net.norm_statistics, strict=True):
        assert torch.equal(ours, theirs)
    if isinstance(both, ParallelSupsup):
        # One bit per weight of trunk and head, and 16 statistics as float32.
        assert both.task_bytes(0) == (3 * 9 * 8 + 8 * 3) // 8 + 4 * 16
