"""Any timm network is a backbone; each oracle runs the network without hooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from teachmesh.errors import BackboneError
from teachmesh.model.forward_pass import Preprocessing, fold_batch_norms
from teachmesh.model.timm_net import (
    TapNet,
    build_network,
    build_taps,
    default_preprocessing,
    find_taps,
    import_timm,
)
from teachmesh.model.timm_weights import fill, parse_weights, read_weights
from tests.model.nets import needs_timm, pictures, random_timm, randomise

pytestmark = needs_timm
SIZES = {
    "mobilenetv3_small_050": 64,
    "resnet10t": 64,
    "legacy_xception": 71,
    "vit_tiny_patch16_224": 32,
}
OPTIONS: dict[str, dict[str, Any]] = {"vit_tiny_patch16_224": {"img_size": 32}}


def mean(x: Tensor) -> Tensor:
    """Pool by the global average."""
    return x.mean((2, 3))


def walk_mobilenet(net: Any, x: Tensor) -> list[Tensor]:
    """Run block by block; tap the input of the projection in the last block of each stage."""
    taps = []
    x = net.bn1(net.conv_stem(x))
    for stage in net.blocks:
        x = stage[:-1](x)
        block = stage[-1]
        if hasattr(block, "conv_pwl"):
            expanded = block.bn1(block.conv_pw(x))
            taps.append(mean(block.se(block.bn2(block.conv_dw(expanded)))))
        elif hasattr(block, "conv_pw"):
            taps.append(mean(block.se(block.bn1(block.conv_dw(x)))))
        x = block(x)
    taps.append(mean(x))  # the last stage is one convolution without a projection
    return [*taps, net.act2(net.norm_head(net.conv_head(net.global_pool(x)))).flatten(1)]


def walk_resnet(net: Any, x: Tensor) -> list[Tensor]:
    """Tap the stem and three stages; the fourth is the latent."""
    x = net.act1(net.bn1(net.conv1(x)))
    taps = [mean(x)]
    x = net.maxpool(x)
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        taps.append(mean(x))
    return taps


def walk_xception(net: Any, x: Tensor) -> list[Tensor]:
    """Tap the activations that begin a block, as in timm's feature_info."""
    x = net.act1(net.bn1(net.conv1(x)))
    x = torch.relu(net.bn2(net.conv2(x)))
    taps = [mean(x)]
    for number in range(1, 13):
        if number in (2, 3, 12):
            taps.append(mean(torch.relu(x)))
        x = getattr(net, f"block{number}")(x)
    x = torch.relu(net.bn3(net.conv3(x)))
    return [*taps, mean(torch.relu(net.bn4(net.conv4(x))))]


def walk_vit(net: Any, x: Tensor) -> list[Tensor]:
    """Tap all tokens after blocks 3, 6 and 9 of 12, and the class token at the end."""
    taps = []
    x = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(x))))
    for number, block in enumerate(net.blocks, start=1):
        x = block(x)
        if number in (3, 6, 9):
            taps.append(x.mean(1))
    return [*taps, net.norm(x)[:, 0]]


WALKS: dict[str, Callable[[Any, Tensor], list[Tensor]]] = {
    "mobilenetv3_small_050": walk_mobilenet,
    "resnet10t": walk_resnet,
    "legacy_xception": walk_xception,
    "vit_tiny_patch16_224": walk_vit,
}


def random_net(name: str) -> TapNet:
    """Build a network with random weights and its taps."""
    options = OPTIONS.get(name, {})
    net = import_timm().create_model(name, pretrained=False, num_classes=0, **options)
    randomise(net)
    return TapNet(net, find_taps(net)).eval()


@pytest.mark.parametrize("name", SIZES)
@torch.no_grad()
def test_taps_are_the_activations_of_a_walk_through_the_network(name: str) -> None:
    """Order, channels and pooling fit, and the last tap is the latent, even with folded norms.

    Norms with activation in timm are folded too; their activations stay.
    """
    net = random_net(name)
    x = pictures(2, SIZES[name]).float() / 127.5 - 1
    expected = WALKS[name](net.net, x)
    found = net(x)
    folded = fold_batch_norms(net, SIZES[name])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert len(found) == len(expected) == len(net.tap_names)
    for one, same, tap in zip(found, folded(x), expected, strict=True):
        torch.testing.assert_close(one, tap, rtol=1e-4, atol=1e-5)
        assert float((same - tap).abs().max() / tap.abs().max()) <= 1e-4
    assert found[-1].shape[1] == net.net.head_hidden_size
    own = net.net.forward_head(net.net.forward_features(x), pre_logits=True)
    assert torch.equal(found[-1], own)


def test_taps_of_the_measuring_network_are_its_expanded_activations() -> None:
    """Seven stages and the last layer of MobileNetV2 have 4,528 channels."""
    net = build_structure("mobilenetv2_100", pad_type="same")
    with torch.no_grad():
        widths = [tap.shape[1] for tap in net(torch.zeros(1, 3, 32, 32))]
    assert widths == [32, 144, 192, 384, 576, 960, 960, 1280]


def build_structure(name: str, **options: Any) -> TapNet:
    """Build a network without setting its weights."""
    net = import_timm().create_model(name, pretrained=False, num_classes=0, **options)
    return TapNet(net, find_taps(net)).eval()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convnext_atto", ["stages.0", "stages.1", "stages.2"]),
        ("swin_tiny_patch4_window7_224", ["layers.0", "layers.1", "layers.2"]),
        ("efficientnet_b0", ["blocks.0.0.conv_pw", *[f"blocks.{i}" for i in range(1, 7)]]),
        ("vgg11", [f"features.{i}" for i in (1, 4, 9, 14, 19, 20)]),
    ],
)
def test_inner_taps_are_found_by_rule(name: str, expected: list[str]) -> None:
    """The final stage is left out if its pool is the latent, which is not so in VGG."""
    with torch.device("meta"):
        net = import_timm().create_model(name, pretrained=False, num_classes=0)
    found = [tap.module for tap in find_taps(net)]
    assert len(found) == len(expected)
    assert all(name.startswith(start) for name, start in zip(found, expected, strict=True))


def test_feature_maps_with_channels_last_are_pooled_over_space() -> None:
    """The maps of Swin are (N, H, W, C)."""
    net = build_structure("swin_tiny_patch4_window7_224", img_size=32, window_size=1)
    with torch.no_grad():
        widths = [tap.shape[1] for tap in net(torch.zeros(1, 3, 32, 32))]
    assert widths == [96, 192, 384, 768]


def test_the_papers_backbone_is_described_without_its_weights() -> None:
    """Xception has 299 px, mean and deviation 0.5, and 2048-D latents."""
    half = (0.5, 0.5, 0.5)
    assert default_preprocessing("legacy_xception.tf_in1k") == Preprocessing(299, half, half)
    with torch.device("meta"):
        net = import_timm().create_model("legacy_xception.tf_in1k", num_classes=0)
        taps = TapNet(net, find_taps(net)).eval()(torch.zeros(1, 3, 299, 299))
    assert taps[-1].shape == (1, 2048)


def test_weights_of_the_classifier_and_their_precision_do_not_matter(tmp_path: Path) -> None:
    """fp16 is widened; files with and without classifier give equal networks."""
    half = load_file(str(random_timm("resnet10t", tmp_path, half=True)))
    bare = {key: value for key, value in half.items() if not key.startswith("fc.")}
    bare = {k: v for k, v in bare.items() if not k.endswith("num_batches_tracked")}
    assert len(bare) < len(half)
    one = build_network("resnet10t", {}, half).state_dict()
    two = build_network("resnet10t", {}, bare).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert torch.equal(one["conv1.0.weight"], half["conv1.0.weight"].float())


def test_the_classifier_of_a_network_is_filled(tmp_path: Path) -> None:
    """A network that was built with a classifier gets its weights, too."""
    state = load_file(str(random_timm("resnet10t", tmp_path)))
    net = import_timm().create_model("resnet10t", num_classes=4)
    fill(net, "resnet10t", state)
    assert torch.equal(net.fc.weight, state["fc.weight"])


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """The message has three keys, the number of others, and a remedy."""
    state = load_file(str(random_timm("resnet10t", tmp_path)))
    lacking = {k: v for k, v in state.items() if not k.startswith("layer1")}
    with pytest.raises(BackboneError, match=r"these lack layer1\.0\.bn1\.bias, .* more; check"):
        build_network("resnet10t", {}, lacking)
    with pytest.raises(BackboneError, match=r"these also hold extra\.weight; check"):
        build_network("resnet10t", {}, {**state, "extra.weight": torch.zeros(1)})
    with pytest.raises(BackboneError, match=r"other shapes in layer4\.0\.bn1\.weight; check"):
        build_network("resnet10t", {}, {**state, "layer4.0.bn1.weight": torch.zeros(3)})
    with pytest.raises(BackboneError, match=r"expected weights of resnet18, but these"):
        build_network("resnet18", {}, state)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mobilnetv2_100", r"got 'mobilnetv2_100' \(did you mean 'mobilenetv2_100'\?\)"),
        ("legacy_xception.tf_in2k", r"did you mean 'legacy_xception.tf_in1k'\?"),
        ("hf-hub:somebody/net", "expected the name of a timm network"),
        ("local-dir:/tmp/net", "expected the name of a timm network"),
    ],
)
def test_the_error_of_an_unknown_network_names_the_nearest(name: str, hint: str) -> None:
    """Only names that timm lists are built; no address is opened."""
    with pytest.raises(BackboneError, match=hint):
        build_taps(name, {}, {})


def test_an_unknown_option_is_refused() -> None:
    """The message contains that of timm."""
    with pytest.raises(BackboneError, match=r"options that resnet10t takes, timm says: .*wings"):
        build_taps("resnet10t", {"wings": 2}, {})


def test_files_that_can_run_code_are_refused_unread(tmp_path: Path) -> None:
    """They are refused by their name, before a byte is read."""
    for name in ("net.pth", "net.bin", "net.PT", "net.ckpt"):
        with pytest.raises(BackboneError, match=r"expected a \.safetensors file, got 'net"):
            read_weights(tmp_path / name)
    with pytest.raises(BackboneError, match="got 'No such file or directory'"):
        read_weights(tmp_path / "net.safetensors")


def test_weights_that_are_damaged_or_not_finite_are_refused(tmp_path: Path) -> None:
    """A pickle under another name is refused, too."""
    path = tmp_path / "net.safetensors"
    save_file({"a.weight": torch.tensor([1.0, float("nan")])}, str(path))
    with pytest.raises(BackboneError, match=r"finite weights, those of 'a\.weight' are not"):
        parse_weights(path.read_bytes())
    for data in (b"", b"\x80\x04pickle", path.read_bytes()[:-3]):
        with pytest.raises(BackboneError, match="expected a safetensors file"):
            parse_weights(data)
