"""The reference of a side-loaded backbone, from procedural images: no data is needed.

It serves as well as one from photographs does (docs/architecture.md says what a reference is).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import BackboneError
from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.reference import DEFAULT_DIM, Reference, fit_reference

Progress = Callable[[int, int], None]
IMAGES = 1024
_BATCH = 32


def fit_procedural(
    net: nn.Module,
    preprocessing: Preprocessing,
    dim: int = DEFAULT_DIM,
    progress: Progress | None = None,
    images: int = IMAGES,
) -> Reference:
    """Scale and projection of a network from seeded procedural images.

    Batch b of 32 images is drawn with seed b, so that memory does not grow with their number.

    Args:
        net: as `Backbone` takes it.
        preprocessing: size, mean, deviation.
        dim: D; fewer if the taps have fewer channels.
        progress: called with (images done, images in all).
        images: how many.

    Raises:
        BackboneError: the network cannot take images of this size, or its activations are not
            finite.
    """
    forward = ForwardPass(net, preprocessing, torch.device("cpu"))
    parts = []
    for seed, start in enumerate(range(0, images, _BATCH)):
        count = min(_BATCH, images - start)
        pixels = procedural_images(count, preprocessing.size, seed)
        parts.append([tap.numpy() for tap in forward.taps(torch.from_numpy(pixels))])
        if progress is not None:
            progress(start + count, images)
    try:
        return fit_reference([np.concatenate(taps) for taps in zip(*parts, strict=True)], dim)
    except ValueError as error:
        raise BackboneError(f"no reference can be made for this network: {error}") from error
