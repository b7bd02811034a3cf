"""Batch norms are folded into convolutions without changing outputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from teachmesh.model.backbone import hash_weights
from teachmesh.model.forward_pass import fold_batch_norms, norm_deviation, norm_gain
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


class OneNorm(nn.Module):
    """A convolution and a norm, with all options."""

    def __init__(self, padding_mode: str = "zeros", **options: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode=padding_mode)
        self.norm = nn.BatchNorm2d(4, **options)
        generator = torch.Generator().manual_seed(1)
        nn.init.normal_(self.conv.weight, std=0.3, generator=generator)
        if self.norm.running_mean is not None and self.norm.running_var is not None:
            nn.init.normal_(self.norm.running_mean, std=0.2, generator=generator)
            nn.init.uniform_(self.norm.running_var, 0.5, 2.0, generator=generator)
        if self.norm.affine:
            nn.init.uniform_(self.norm.weight, 0.6, 1.2, generator=generator)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Run the convolution, then the norm."""
        return torch.as_tensor(self.norm(self.conv(x)))


class SharedNorm(OneNorm):
    """A network with one norm after two convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the norm twice."""
        return super().forward(x) + torch.as_tensor(self.norm(self.other(x)))

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 4, 1)


@pytest.mark.parametrize("affine", [True, False])
def test_the_gain_of_a_fold_is_that_of_the_norm(affine: bool) -> None:
    """A norm without weights multiplies by the reciprocal of its deviation alone."""
    net = OneNorm(affine=affine)
    folded = fold_batch_norms(net, 16)
    images = pictures(2).float() / 255
    with torch.no_grad():
        torch.testing.assert_close(folded(images), net(images), atol=1e-4, rtol=1e-4)
    assert norms_left(folded) == 0
    conv = folded.get_submodule("conv")
    assert net.norm.running_var is not None
    deviation = (net.norm.running_var + net.norm.eps).sqrt()
    weight = net.norm.weight.detach() if affine else torch.ones(4)
    torch.testing.assert_close(norm_deviation(conv), deviation)
    torch.testing.assert_close(norm_gain(conv), weight / deviation)


@pytest.mark.parametrize(
    ("net", "norms"),
    [
        (OneNorm(track_running_stats=False), 1),
        (OneNorm("reflect"), 1),
        (OneNorm("circular"), 1),
        (SharedNorm(), 1),
    ],
    ids=["no statistics", "reflect", "circular", "shared norm"],
)
def test_a_norm_that_no_fold_replaces_stays(net: OneNorm, norms: int) -> None:
    """Norms without statistics, other paddings, and a norm of two convolutions."""
    folded = fold_batch_norms(net, 16)
    images = pictures(2).float() / 255
    assert norms_left(folded) == norms
    with torch.no_grad():
        assert torch.equal(folded(images), net(images))
    assert norm_gain(folded.get_submodule("conv")) == 1.0
