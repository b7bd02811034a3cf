"""Networks that baselines start from: names, input sizes and weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from teachmesh.bank.home import resolve_home
from teachmesh.errors import BackboneError
from teachmesh.model.backbone_cards import embedded_card
from teachmesh.model.backbone_registry import add_timm, load_backbone
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.baseline_registry import trained_baseline
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.timm_trunks import random_timm as random_timm_net
from teachmesh_lab.baselines.training_loop import Schedule
from teachmesh_lab.bench.baseline_estimates import trunk_size
from teachmesh_lab.bench.baseline_options import with_defaults
from teachmesh_lab.bench.starting_nets import StartingNet, starting_net
from tests.lab.baselines.sample_streams import SIZE, learn_all, make_stream
from tests.model.nets import needs_timm, random_timm

PAPER = {"net": "paper", "size_px": 0}


def start(
    method: str, folder: Path, backbone: str = "embedded", **options: str | int
) -> StartingNet:
    """Return the network of a method."""
    return starting_net(method, with_defaults(options), folder, backbone, weights=False)


def test_the_default_is_the_embedded_network_or_a_small_one(tmp_path: Path) -> None:
    """The size of the images is an option; 0 is the network's own."""
    assert (start("ewc", tmp_path).name, start("ewc", tmp_path).size_px) == ("embedded", 32)
    assert start("psp", tmp_path, size_px=0).name == "small"
    own = start("ewc", tmp_path, net="backbone", size_px=0)
    assert (own.name, own.size_px) == ("embedded", embedded_card()["size"])


@needs_timm
def test_the_papers_networks(tmp_path: Path) -> None:
    """Oracle: published numbers of parameters without classifier."""
    backbone = start("ewc", tmp_path, "legacy_xception", **PAPER)
    assert (backbone.name, backbone.size_px) == ("legacy_xception", 299)
    found = [start(method, tmp_path, **PAPER) for method in ("psp", "parallel-supsup")]
    assert [(net.name, net.size_px) for net in found] == [("resnet18", 224), ("resnet50", 224)]
    sizes = [trunk_size(net) for net in found]
    assert [size.dim for size in sizes] == [512, 2048]
    assert [size.numbers for size in sizes] == [11_176_512, 23_508_032]
    assert sizes[1].per_image.forward == pytest.approx(4.09e9, rel=0.01)


@needs_timm
def test_a_backbone_of_the_home_is_trained_from_its_weights(tmp_path: Path) -> None:
    """Before the first step, its latents are those of the frozen backbone."""
    home = resolve_home(tmp_path / "home")
    weights = random_timm("resnet10t", tmp_path)
    options = {"size": 32, "reference_images": 40, "dim": 16}
    add_timm(home.backbones, "resnet10t", weights=weights, **options)  # type: ignore[arg-type]
    net = start("lwf", home.backbones, "resnet10t", **PAPER)
    assert (net.name, net.size_px) == ("resnet10t", 32)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        latents = build_net(net.factory, 0).eval()(images.float() / 255)
    frozen = load_backbone(home.backbones, "resnet10t").embed(images)
    torch.testing.assert_close(latents, torch.from_numpy(frozen.last), rtol=1e-3, atol=1e-4)
    with pytest.raises(BackboneError, match="expected a known backbone"):
        starting_net("lwf", with_defaults(PAPER), home.backbones, "resnet")


@needs_timm
def test_masks_reach_every_block_of_a_random_resnet() -> None:
    """No block is switched off by a norm that starts at 0."""
    trunk = build_net(random_timm_net("resnet10t")[0], 0)
    norms = [m for m in trunk.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(bool((norm.weight == 1).all()) for norm in norms)
    net = MultiHead(trunk, SIZE, 0, running_norms=True)
    hyper = {"rate_factor": 1.0, "signed": 1.0}
    baseline = trained_baseline("supsup", net, hyper, seed=0)
    learn_all(baseline, make_stream(1), Schedule(epochs=1, batch_size=23, rate=0.01))
    assert all(bool(tensor.isfinite().all()) for tensor in net.norm_statistics)
