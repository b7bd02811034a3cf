"""Multiply-accumulates are counted."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from teachmesh.model.macs import count_macs, macs_per_image
from teachmesh.model.timm_net import TapNet, find_taps, import_timm
from tests.model.nets import TinyNet, needs_timm


def test_counts_of_products_and_convolutions_equal_those_by_hand() -> None:
    """Element-wise work is not counted, as in the paper."""
    assert count_macs(lambda: torch.ones(3, 5) @ torch.ones(5, 7) + 1) == 3 * 5 * 7
    assert macs_per_image(TinyNet(), 32) == 16 * 16 * 5 * 3 * 9 + 8 * 8 * 7 * 5 * 9


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_counts_equal_those_of_torchs_own_counter(mode: type) -> None:
    """`FlopCounterMode` is the oracle, with and without gradients; two operations are one MAC."""
    net, images = TinyNet(), torch.ones(2, 3, 32, 32)
    with mode():
        with FlopCounterMode(display=False) as counter:
            net(images)
        assert 2 * count_macs(lambda: net(images)) == counter.get_total_flops() > 0


@needs_timm
def test_the_papers_backbone_costs_8355_million() -> None:
    """Xception at 299 px costs 8.355 GMAC; the meta device saves the computation."""
    timm = import_timm()
    with torch.device("meta"):
        net = timm.create_model("legacy_xception.tf_in1k", pretrained=False, num_classes=0)
    found = macs_per_image(TapNet(net.eval(), find_taps(net)), 299)
    assert round(found / 1e9, 3) == 8.355
