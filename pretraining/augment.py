"""Random crops and flips of whole batches of images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MIN_SIDE = 0.7
"""Minimum side of a crop, as a fraction of the image's side."""


def augmented(pixels: np.ndarray, size: int, generator: torch.Generator) -> Tensor:
    """Take one crop of each image, with random scale, aspect ratio, position and flip.

    Args:
        pixels: N images as an (N, 64, 64, 3) uint8 array.
        size: side of the resulting images in pixels.
        generator: source of the random numbers.

    Returns:
        The crops as (N, 3, size, size) float32 values in [-1, 1], with channels last in memory.
    """
    n = len(pixels)
    side = MIN_SIDE + (1 - MIN_SIDE) * torch.rand(n, generator=generator)
    aspect = torch.exp(0.25 * (torch.rand(n, generator=generator) - 0.5))
    half_x, half_y = (side * aspect).clamp(max=1.0), (side / aspect).clamp(max=1.0)
    shift_x = (1 - half_x) * (2 * torch.rand(n, generator=generator) - 1)
    shift_y = (1 - half_y) * (2 * torch.rand(n, generator=generator) - 1)
    flip = 1 - 2 * (torch.rand(n, generator=generator) < 0.5).float()
    zero = torch.zeros(n)
    theta = torch.stack(
        [
            torch.stack([half_x * flip, zero, shift_x], dim=1),
            torch.stack([zero, half_y, shift_y], dim=1),
        ],
        dim=1,
    )  # (N, 2, 3)
    images = _floats(pixels)
    if size < images.shape[2]:
        # The image is averaged first, because sampling a half-size grid would skip pixels.
        images = functional.interpolate(images, size=(size, size), mode="area")
    grid = functional.affine_grid(theta, [n, 3, size, size], align_corners=False)
    crops = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return crops.contiguous(memory_format=torch.channels_last)


def plain(pixels: np.ndarray, size: int) -> Tensor:
    """Resize whole images for validation; arguments and result have shapes as in `augmented`."""
    images = _floats(pixels)
    if size < images.shape[2]:
        images = functional.interpolate(images, size=(size, size), mode="area")
    elif size > images.shape[2]:
        large = functional.interpolate(images, size=(size, size), mode="bicubic")
        images = large.clamp(-1, 1)
    return images.contiguous(memory_format=torch.channels_last)


def _floats(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)  # (N, 3, H, W)
