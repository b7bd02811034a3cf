"""Fit the scale and the projection of the embedded backbone's multi-depth latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pretraining.augment import plain
from pretraining.mosaics import load_pictures
from teachmesh.model.embedded_backbone import EmbeddedNet
from teachmesh.model.reference import Reference, fit_reference

IMAGES_PER_CLASS = 10
_TRAINING_IMAGES_PER_CLASS = 500
_BATCH = 50


def fit_embedded_reference(net: EmbeddedNet, data: Path, size: int, dim: int) -> Reference:
    """Fit the reference on 2,000 training images, enlarged to the network's input size.

    Args:
        net: the trained backbone, in evaluation mode.
        data: folder of the pretraining images.
        size: side of the network's input in pixels.
        dim: dimension of the multi-depth latents, D.
    """
    pixels = load_pictures(data, "train", IMAGES_PER_CLASS / _TRAINING_IMAGES_PER_CLASS).pixels
    parts: list[list[np.ndarray]] = [[] for _ in net.tap_names]
    with torch.inference_mode():
        for start in range(0, len(pixels), _BATCH):
            for kept, tap in zip(
                parts, net(plain(pixels[start : start + _BATCH], size)), strict=True
            ):
                kept.append(tap.numpy())
    return fit_reference([np.concatenate(kept) for kept in parts], dim).quantised()
