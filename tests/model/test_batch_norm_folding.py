"""Batch norms are folded into convolutions without changing outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from teachmesh.model.backbone import hash_weights
from teachmesh.model.forward_pass import fold_batch_norms
from tests.model.nets import TinyNet, pictures, randomise


class ReadTwice(nn.Module):
    """A network that reads the output of a convolution in a norm and, unseen by hooks, in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        randomise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Add the normed output to the plain one."""
        y = self.conv(x)
        return torch.as_tensor(self.norm(y) + y)


class SharedConv(nn.Module):
    """A network with one convolution before two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(3), nn.BatchNorm2d(3)])
        randomise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Run the convolution twice."""
        for norm in self.norms:
            x = norm(self.conv(x))
        return x


def norms_left(net: nn.Module) -> int:
    """Count the batch norms that a network still computes."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_a_folded_network_has_no_norms_and_the_same_outputs() -> None:
    """The error is at most 1e-4 of the largest output; the original is left as it is."""
    net = TinyNet()
    before = hash_weights(net.state_dict())
    folded = fold_batch_norms(net, 32)
    images = pictures(4).float() / 255
    with torch.no_grad():
        for found, expected in zip(folded(images), net(images), strict=True):
            assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert (norms_left(net), norms_left(folded)) == (2, 0)
    assert hash_weights(net.state_dict()) == before


def test_what_cannot_be_folded_is_left_alone() -> None:
    """A wrong fold shows on the probe image, and a plain copy is used."""
    images = pictures(2).float() / 255
    for net, norms in ((ReadTwice(), 1), (SharedConv(), 2)):
        folded = fold_batch_norms(net, 32)
        assert norms_left(folded) == norms
        with torch.no_grad():
            assert torch.equal(folded(images), net(images))


def test_no_hook_stays_behind() -> None:
    """The original network has no hooks afterwards."""
    net = TinyNet()
    fold_batch_norms(net, 32)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
