"""Make the references that the package ships, from the pretraining images.

    python -m pretraining.make_reference embedded --data DATA
    python -m pretraining.make_reference lite0 --data DATA
    python -m pretraining.make_reference tiles --data DATA --out FOLDER

Only statistics of the images enter the package. `tiles` writes the images themselves to a folder,
for `teachmesh backbone add --reference-images`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pretraining.mosaics import TILE, Pictures, load_pictures
from teachmesh.data.image_inputs import ImageInput
from teachmesh.data.loader import read_batch
from teachmesh.model.backbone import Backbone, hash_weights
from teachmesh.model.backbone_cards import (
    CARD_FILE,
    EMBEDDED,
    EMBEDDED_REFERENCE_FILE,
    assets,
    embedded_card,
    with_description,
)
from teachmesh.model.embedded_backbone import TAP_WEIGHTS, EmbeddedNet, load_embedded
from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.lite_weights import LITE
from teachmesh.model.macs import macs_per_image
from teachmesh.model.reference import DEFAULT_DIM, Reference
from teachmesh.model.reference_images import make_reference
from teachmesh.model.timm_net import TapNet, build_taps, default_preprocessing

IMAGES_PER_CLASS = 30
LITE_SIZE = 160
EMBEDDED_SIZE = 112
"""Side of the embedded network's input in pixels."""
_IMAGES_OF_A_CLASS = 50


@dataclass(frozen=True, eq=False)
class PictureImages:
    """The pretraining images, enlarged to the network's input size.

    Attributes:
        pictures: the images with their labels.
        size: side of the network's input in pixels.
        real: always true.
    """

    pictures: Pictures
    size: int
    real: bool = True

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64 classes of the images."""
        return self.pictures.labels

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, start: int, stop: int) -> torch.Tensor:
        """Return images start to stop - 1 as (n, 3, S, S) uint8."""
        inputs = [ImageInput(str(i), self.pictures.pixels[i]) for i in range(start, stop)]
        return read_batch(inputs, range(len(inputs)), self.size).images


def pretraining_images(data: Path, size: int) -> PictureImages:
    """Return 30 validation images of each of the 200 classes, which no weight was trained on."""
    return PictureImages(load_pictures(data, "val", IMAGES_PER_CLASS / _IMAGES_OF_A_CLASS), size)


def fit_shipped_reference(
    net: EmbeddedNet | TapNet, preprocessing: Preprocessing, data: Path, dim: int = DEFAULT_DIM
) -> Reference:
    """Fit the reference of a network to the pretraining images; its projection is stored as int8.

    Args:
        net: network with the inputs and outputs that `Backbone` requires; its taps get the weights
            `TAP_WEIGHTS`.
        preprocessing: image size, mean and standard deviation.
        data: folder of the pretraining images.
        dim: dimension of the multi-depth latents, D.
    """
    forward = ForwardPass(net, preprocessing, torch.device("cpu"))
    images = pretraining_images(data, preprocessing.size)
    weights = [TAP_WEIGHTS.get(name, 1.0) for name in net.tap_names]
    return make_reference(forward.taps, images, dim, weights=weights, quantise=True, progress=_say)


def _say(done: int, total: int) -> None:
    if done % 2048 == 0 or done == total:
        print(f"{done} of {total} images", flush=True)


def _write_lite0(data: Path) -> None:
    checkpoint = LITE["lite0"]
    net = build_taps(checkpoint.architecture, {}, checkpoint.read())
    usual = default_preprocessing(checkpoint.architecture)
    preprocessing = Preprocessing(LITE_SIZE, usual.mean, usual.std)
    reference = fit_shipped_reference(net, preprocessing, data)
    (assets() / "lite0-reference.safetensors").write_bytes(reference.to_bytes())


def _write_embedded(data: Path) -> None:
    card = embedded_card()
    net: EmbeddedNet = load_embedded(assets())
    mean, std = tuple(card["mean"]), tuple(card["std"])
    preprocessing = Preprocessing(EMBEDDED_SIZE, mean, std)
    reference = fit_shipped_reference(net, preprocessing, data, int(card["dim"]))
    backbone = Backbone(
        name=EMBEDDED,
        architecture=str(card["architecture"]),
        net=net,
        tap_names=net.tap_names,
        preprocessing=preprocessing,
        reference=reference,
        weights_sha256=hash_weights(net.state_dict()),
    )
    card |= size_and_identity(net, backbone)
    card = with_description(card, backbone.describe())
    (assets() / EMBEDDED_REFERENCE_FILE).write_bytes(reference.to_bytes())
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    (assets() / CARD_FILE).write_text(text, encoding="utf-8")


def size_and_identity(net: EmbeddedNet, backbone: Backbone) -> dict[str, Any]:
    """Return the card's entries that depend on the input size, the taps or the reference."""
    return {
        "size": backbone.size,
        "taps": net.tap_names,
        "dim": backbone.dim,
        "fingerprint": backbone.fingerprint,
        "macs_per_image": macs_per_image(net, backbone.size),
    }


def write_tiles(data: Path, out: Path) -> None:
    """Write the pretraining images to PNG files, one folder per class."""
    pictures = pretraining_images(data, TILE).pictures
    for number, (pixels, label) in enumerate(zip(pictures.pixels, pictures.labels, strict=True)):
        folder = out / f"{label:03}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")


def main() -> None:
    """Write the reference of one network into the package, or the images to a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("made", choices=(EMBEDDED, "lite0", "tiles"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the mosaics")
    parser.add_argument("--out", type=Path, help="folder for `tiles`")
    arguments = parser.parse_args()
    if arguments.made == "tiles":
        if arguments.out is None:
            parser.error("tiles needs --out FOLDER")
        write_tiles(arguments.data, arguments.out)
        return
    writers = {EMBEDDED: _write_embedded, "lite0": _write_lite0}
    writers[arguments.made](arguments.data)


if __name__ == "__main__":
    main()
