from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from pretraining.student_net import last_latent
from teachmesh.errors import BackboneError
from teachmesh.model.embedded_backbone import (
    LAST_WIDTH,
    QUADRANTS,
    STEPS,
    WEIGHTS_FILE,
    EmbeddedNet,
    load_embedded,
    packed,
)


@pytest.fixture(scope="module")
def net() -> EmbeddedNet:
    """A network with random weights."""
    torch.manual_seed(0)
    return EmbeddedNet().eval()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 70), (96, 64)])
def test_any_side_from_32_on_gives_one_vector_per_tap(
    net: EmbeddedNet, height: int, width: int
) -> None:
    """Height and width may differ; every tap is an (N, C_i) array without negative values."""
    with torch.inference_mode():
        taps = net(torch.rand(2, 3, height, width))
    assert len(taps) == len(net.tap_names)
    assert all(tap.shape[0] == 2 and tap.ndim == 2 for tap in taps)
    assert all(bool((tap >= 0).all()) for tap in taps)
    assert taps[-1].shape == (2, LAST_WIDTH)
    assert sum(tap.shape[1] for tap in taps) == 6784


def test_height_and_width_are_not_confused(net: EmbeddedNet) -> None:
    """Pooled taps of a transposed image differ, unless the kernels are transposed with it.

    The upper right and lower left quadrants then change places.
    """
    image = torch.rand(1, 3, 32, 48)
    turned = EmbeddedNet().eval()
    state = net.state_dict()
    turned.load_state_dict({k: v.mT if v.ndim == 4 else v for k, v in state.items()})
    with torch.inference_mode():
        expected, got = list(net(image)), turned(image.mT)
    at = net.tap_names.index(QUADRANTS)
    expected[at] = expected[at].unflatten(1, (2, 2, LAST_WIDTH)).transpose(1, 2).flatten(1)
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(112, 112), (32, 33), (70, 16)])
def test_quadrants_are_those_of_adaptive_pooling(net: EmbeddedNet, height: int, width: int) -> None:
    """Torch's adaptive pooling of the last map is the oracle, for even and odd sides and for 1."""
    maps: list[torch.Tensor] = []
    hook = net.last_norm.register_forward_hook(lambda _, __, out: maps.append(out.relu()))
    with torch.inference_mode():
        taps = dict(zip(net.tap_names, net(torch.rand(2, 3, height, width)), strict=True))
        expected = functional.adaptive_avg_pool2d(maps[0], 2).flatten(2).mT.flatten(1)
    hook.remove()
    torch.testing.assert_close(taps[QUADRANTS], expected)


def test_training_sees_the_last_tap(net: EmbeddedNet) -> None:
    """The shortcut without inner taps gives exactly the network's last tap."""
    images = torch.rand(2, 3, 40, 32)
    with torch.inference_mode():
        assert torch.equal(last_latent(net, images), net(images)[-1])


def test_loaded_weights_are_the_stored_ones_dequantised(net: EmbeddedNet, tmp_path: Path) -> None:
    """Loaded weights are levels times steps, with halves widened; none requires a gradient."""
    stored = packed({k: v for k, v in net.state_dict().items() if "batches" not in k})
    save_file(stored, tmp_path / WEIGHTS_FILE)
    loaded = load_embedded(tmp_path)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    state = loaded.state_dict()
    for name, original in net.state_dict().items():
        if original.ndim == 4:
            steps = stored[name + STEPS]
            expected = torch.stack(
                [s * level for s, level in zip(steps, stored[name].float(), strict=True)]
            )
            assert torch.equal(state[name], expected)
            error = (state[name] - original).abs().amax((1, 2, 3))
            assert bool((error <= 0.5001 * steps).all())
        elif name in stored:
            assert torch.equal(state[name], stored[name].float())


def test_damaged_or_incomplete_weights_are_refused(net: EmbeddedNet, tmp_path: Path) -> None:
    """Damaged weights give an error message instead of a network with random layers."""
    path = tmp_path / WEIGHTS_FILE
    with pytest.raises(BackboneError, match="embedded backbone"):
        load_embedded(tmp_path)
    path.write_bytes(b"no tensors")
    with pytest.raises(BackboneError, match="embedded backbone"):
        load_embedded(tmp_path)
    save_file({"stem.weight": net.stem.weight.detach()}, path)
    with pytest.raises(BackboneError, match="lacks"):
        load_embedded(tmp_path)
