"""The frozen backbone turns images into latents."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from teachmesh.errors import BackboneError
from teachmesh.model.backbone import Identity, Preprocessing, hash_weights
from tests.model.nets import GREY, TinyNet, pictures, state_sha256, tiny_backbone, tiny_reference

UNEVEN = Preprocessing(32, (0.1, 0.4, 0.6), (0.2, 0.3, 0.5))


def test_taps_are_those_of_the_plain_network_on_normalised_images() -> None:
    """The oracle normalises in numpy and runs the network as it was built, channels first."""
    net = TinyNet()
    images = pictures(3)
    backbone = tiny_backbone(net=net, preprocessing=UNEVEN)
    mean, std = np.array(UNEVEN.mean)[:, None, None], np.array(UNEVEN.std)[:, None, None]
    x = torch.from_numpy((images.numpy() / 255.0 - mean) / std).float()
    with torch.no_grad():
        expected = net(x)
    for found, tap in zip(backbone.taps(images), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), tap.numpy(), atol=1e-5)


def test_latents_are_the_last_tap_and_the_projected_taps() -> None:
    """`last` is the paper's latent; `multi` is the reference applied to all taps."""
    backbone = tiny_backbone()
    taps = backbone.taps(pictures(4))
    latents = backbone.embed(pictures(4))
    np.testing.assert_array_equal(latents.last, taps[-1].numpy())
    np.testing.assert_array_equal(latents.multi, tiny_reference().apply(taps).numpy())
    assert latents.last.shape == (4, backbone.last_dim) == (4, 7)
    assert latents.multi.shape == (4, backbone.dim) == (4, 6)
    for array in (latents.last, latents.multi):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_nothing_changes_the_backbone() -> None:
    """Invariant 1: the backbone and its arguments stay bit-identical."""
    net = TinyNet()
    before = hash_weights(net.state_dict())
    backbone = tiny_backbone(net=net)
    state, fingerprint = state_sha256(backbone), backbone.fingerprint
    for _ in range(3):
        backbone.embed(pictures(5))
    assert backbone.macs_per_image > 0
    backbone.describe()
    with torch.no_grad():
        net.first.weight.zero_()  # the backbone has its own copy
    after = backbone.embed(pictures(5))
    assert (state_sha256(backbone), backbone.fingerprint) == (state, fingerprint)
    assert before == backbone.identity.weights_sha256
    np.testing.assert_array_equal(after.multi, tiny_backbone().embed(pictures(5)).multi)


def test_images_are_not_changed() -> None:
    """Normalisation works on a copy."""
    images = pictures(2)
    tiny_backbone().embed(images)
    assert torch.equal(images, pictures(2))


def test_batching_makes_no_difference_beyond_rounding() -> None:
    """Images are embedded one by one, in batches of seven, and all at once."""
    backbone = tiny_backbone()
    images = pictures(20)
    whole = backbone.embed(images)
    for step in (1, 7):
        parts = [backbone.embed(images[i : i + step]) for i in range(0, 20, step)]
        multi = np.concatenate([part.multi for part in parts])
        last = np.concatenate([part.last for part in parts])
        np.testing.assert_allclose(multi, whole.multi, atol=2e-6)
        np.testing.assert_allclose(last, whole.last, rtol=1e-5, atol=1e-6)


def test_no_image_gives_no_latent() -> None:
    """An empty batch gives empty latents of the right widths."""
    latents = tiny_backbone().embed(torch.zeros(0, 3, 32, 32, dtype=torch.uint8))
    assert latents.last.shape == (0, 7)
    assert latents.multi.shape == (0, 6)


def test_threads_do_not_mix_their_images() -> None:
    """A server may embed in several threads at once."""
    backbone = tiny_backbone()
    images = pictures(16)
    expected = [backbone.embed(images[i : i + 1]).last for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: backbone.embed(images[i : i + 1]).last, range(16)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 33, 33, dtype=torch.uint8),
        torch.zeros(1, 32, 32, 3, dtype=torch.uint8),
        torch.zeros(3, 32, 32, dtype=torch.uint8),
        torch.zeros(1, 3, 32, 32),
    ],
)
def test_images_of_another_shape_or_type_are_refused(images: torch.Tensor) -> None:
    """The message has the expected and the given shape and type."""
    with pytest.raises(BackboneError, match=r"expected images \(N, 3, 32, 32\) of uint8, got"):
        tiny_backbone().embed(images)


def _flipped_bit() -> TinyNet:
    net = TinyNet()
    with torch.no_grad():
        net.second.weight.view(-1).view(torch.int32)[17] ^= 1
    return net


@pytest.mark.parametrize(
    "changes",
    [
        {"net": _flipped_bit()},
        {"net": TinyNet(seed=1)},
        {"preprocessing": Preprocessing(33, GREY.mean, GREY.std)},
        {"preprocessing": Preprocessing(32, (0.5, 0.5, 0.4), GREY.std)},
        {"preprocessing": Preprocessing(32, GREY.mean, (0.5, 0.5, 0.4))},
        {"reference": tiny_reference(seed=1)},
        {"reference": tiny_reference(dim=5)},
        {"tap_names": ("other", "last")},
        {"architecture": "other"},
    ],
    ids=["bit", "weights", "size", "mean", "std", "reference", "dim", "taps", "architecture"],
)
def test_everything_that_latents_depend_on_is_in_the_fingerprint(changes: dict[str, Any]) -> None:
    """A flipped bit of a weight changes it; the alias and the batch counters do not."""
    assert tiny_backbone(**changes).fingerprint != tiny_backbone().fingerprint


def test_equal_backbones_have_equal_fingerprints() -> None:
    """It is the hash of one canonical JSON text, equal on every machine and in every version."""
    assert tiny_backbone(name="another alias").fingerprint == tiny_backbone().fingerprint
    text = (
        '{"architecture":"a","preprocessing":{"mean":[0.5,0.5,0.5],"size":32,"std":[0.5,0.5,0.5]},'
        '"reference_id":"d","schema":"teachmesh.backbone/1","taps":["c","last"],'
        '"weights_sha256":"b"}'
    )
    identity = Identity("a", "b", GREY, ("c", "last"), "d")
    assert identity.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_counters_of_batch_norms_do_not_count() -> None:
    """Some weights files lack them, and no latent depends on them."""
    net = TinyNet()
    before = hash_weights(net.state_dict())
    assert net.first_norm.num_batches_tracked is not None
    net.first_norm.num_batches_tracked += 5
    assert hash_weights(net.state_dict()) == before


def test_a_reference_of_another_network_is_refused_on_construction() -> None:
    """The error does not wait for the first image."""
    wide = tiny_reference()
    short = dataclasses.replace(wide, scale=wide.scale[:9], projection=wide.projection[:9])
    with pytest.raises(BackboneError, match="9 channels in all, got 12"):
        tiny_backbone(reference=short)


def test_costs_are_counted() -> None:
    """The sum by hand has two convolutions and the projection."""
    first, second, projection = 16 * 16 * 5 * 3 * 9, 8 * 8 * 7 * 5 * 9, 12 * 6
    assert tiny_backbone().macs_per_image == first + second + projection


def test_a_description_is_json() -> None:
    """`backbone show --json` prints it; it contains no path."""
    document = json.loads(json.dumps(tiny_backbone().describe()))
    assert document["tap_channels"] == 12
    assert document["taps"] == ["inner", "last"]
