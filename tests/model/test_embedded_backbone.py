"""The backbone in the package, from its files to latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from teachmesh.errors import BackboneError
from teachmesh.model.backbone import Backbone, Preprocessing, hash_weights
from teachmesh.model.backbone_cards import assets, embedded_card
from teachmesh.model.backbone_registry import fit_reference
from teachmesh.model.build_backbone import embedded_backbone
from teachmesh.model.embedded_backbone import EmbeddedNet, load_embedded
from teachmesh.model.reference_images import ProceduralImages
from tests.model.nets import pictures, randomise

SIZE = 32
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def files() -> dict[str, Any]:
    """State, reference and card of a network with random weights, as in the package."""
    net = EmbeddedNet()
    randomise(net)
    state = {k: v.half() for k, v in net.state_dict().items() if v.is_floating_point()}
    net.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    preprocessing = Preprocessing(SIZE, HALF, HALF)
    reference = fit_reference(net, preprocessing, ProceduralImages(20, SIZE), 16)
    backbone = Backbone(
        name="embedded",
        architecture="test",
        net=net,
        tap_names=net.tap_names,
        preprocessing=preprocessing,
        reference=reference,
        weights_sha256=hash_weights(net.state_dict()),
    )
    card = {"architecture": "test", "size": SIZE, "mean": HALF, "std": HALF}
    return {
        "state": state,
        "reference": reference.to_bytes(),
        "card": {**card, "fingerprint": backbone.fingerprint},
    }


def test_a_new_reference_has_the_weights_of_the_network() -> None:
    """The divisors of quadrants are larger by 1 / 0.35^2 than with equal weights."""
    net = EmbeddedNet()
    randomise(net)
    preprocessing, images = Preprocessing(SIZE, HALF, HALF), ProceduralImages(20, SIZE)
    found = fit_reference(net, preprocessing, images, 16)
    weights = net.tap_weights
    del net.tap_weights
    equal = fit_reference(net, preprocessing, images, 16)
    ratios = found.scale / equal.scale
    quadrants = slice(-5 * 1024, -1024)  # 4 x 1,024 channels before the latents
    np.testing.assert_allclose(ratios[quadrants], 1 / 0.35**2, rtol=1e-5)
    np.testing.assert_allclose(ratios[-1024:], 1.0, rtol=1e-5)
    assert sorted(set(weights)) == [0.35, 1.0]


def write(folder: Path, files: dict[str, Any]) -> Path:
    """Write the three files to a folder."""
    save_file(files["state"], str(folder / "embedded.safetensors"))
    (folder / "embedded-reference.safetensors").write_bytes(files["reference"])
    (folder / "embedded.json").write_text(json.dumps(files["card"]))
    return folder


def test_the_files_become_the_backbone_that_the_card_describes(
    tmp_path: Path, files: dict[str, Any]
) -> None:
    """The fingerprint fits, weights are widened exactly, and latents equal the plain network's."""
    folder = write(tmp_path, files)
    backbone = embedded_backbone("embedded", folder=folder)
    assert backbone.fingerprint == files["card"]["fingerprint"]
    images = pictures(3, SIZE)
    expected = load_embedded(folder)(images.float() / 127.5 - 1)
    for found, tap in zip(backbone.taps(images), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), tap.numpy(), rtol=1e-3, atol=1e-4)
    assert backbone.embed(images).multi.shape == (3, 16)


def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, files: dict[str, Any]
) -> None:
    """A missing file, another card or other weights: the message advises a new installation."""
    with pytest.raises(BackboneError, match="install teachmesh again"):
        embedded_card(tmp_path)
    write(tmp_path, {**files, "card": {**files["card"], "size": SIZE + 1}})
    with pytest.raises(BackboneError, match="do not belong together"):
        embedded_backbone("embedded", folder=tmp_path)
    (write(tmp_path, files) / "embedded-reference.safetensors").unlink()
    with pytest.raises(BackboneError, match="install teachmesh again"):
        embedded_backbone("embedded", folder=tmp_path)


@pytest.mark.skipif(not (assets() / "embedded.json").exists(), reason="no embedded backbone yet")
def test_the_package_ships_a_complete_backbone() -> None:
    """Weights, reference and card belong together, and it embeds."""
    backbone = embedded_backbone("embedded")
    latents = backbone.embed(pictures(2, backbone.size))
    assert backbone.fingerprint == embedded_card()["fingerprint"]
    assert np.isfinite(latents.multi).all()
    assert latents.multi.shape == (2, backbone.dim)
