"""Seeded abstract images for fitting a backbone's reference without any data.

Dead-leaves images show overlapping shapes with power-law sizes. With 1/f texture, they share
statistics with photographs: edges at all scales, occlusion, smooth and rough surfaces, grey and
colour. These statistics affect the scale and the principal axes of a network's channels.

References:
    [1] A. B. Lee, D. Mumford, J. Huang, Occlusion models for natural images: a statistical study
        of a scale-invariant dead leaves model, IJCV 2001.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from teachmesh.errors import UsageError

TEXTURED_SHARE = 0.8
GREY_SHARE = 1 / 3

# Smallest and largest radius, as fractions of the image's side. The density, r^-2, is steep enough
# that an image looks similar at all scales, and flat enough that shapes cover the background.
_SMALLEST_RADIUS = 0.025
_LARGEST_RADIUS = 0.5
_SHAPES = 110
_MOST_CORNERS = 7


def procedural_images(n: int, size: int, seed: int = 0) -> np.ndarray:
    """Draw dead-leaves images.

    Image i depends only on (seed, i, size), so a longer series begins with the same images.
    Shapes are drawn with integer arithmetic, but textures use floating-point Fourier transforms.
    Two machines may therefore, very rarely, round a pixel differently. A backbone's reference must
    be identical everywhere, so the reference itself is shared as a file.

    Args:
        n: number of images.
        size: side of the images in pixels, S.
        seed: seed of all random choices.

    Returns:
        RGB images, (n, 3, S, S) uint8.

    Raises:
        UsageError: n is negative or size is not positive.
    """
    if n < 0 or size < 1:
        raise UsageError(f"expected n >= 0 images of size >= 1, got n={n} and size={size}")
    images = np.empty((n, 3, size, size), dtype=np.uint8)
    for i in range(n):
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, i])))
        images[i] = _draw(size, generator).transpose(2, 0, 1)  # (S, S, 3) -> (3, S, S)
    return images


def _draw(size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one RGB image and return it as an (S, S, 3) uint8 array."""
    pixels = np.asarray(_dead_leaves(size, generator), dtype=np.int64)
    if generator.random() < TEXTURED_SHARE:
        contrast = generator.uniform(4.0, 40.0)
        pixels = pixels + np.rint(contrast * _texture(size, generator)).astype(np.int64)
    if generator.random() < GREY_SHARE:
        # Integer luma weights (ITU-R BT.601), so that grey is exact on every machine.
        grey = (pixels @ np.array([299, 587, 114]) + 500) // 1000
        pixels = np.repeat(grey[:, :, None], 3, axis=2)
    clipped: np.ndarray = np.clip(pixels, 0, 255)
    return clipped.astype(np.uint8)


def _dead_leaves(size: int, generator: np.random.Generator) -> Image.Image:
    """Draw shapes of power-law size and random colour; later shapes hide earlier shapes."""
    colours = _palette(generator)
    image = Image.new("RGB", (size, size), colours[0])
    draw = ImageDraw.Draw(image)
    few, many = 1 / _LARGEST_RADIUS, 1 / _SMALLEST_RADIUS
    radii = 1 / (few + generator.random(_SHAPES) * (many - few))  # inverse of the distribution
    choices = generator.random((_SHAPES, 4 + 2 * _MOST_CORNERS)).tolist()
    for share, choice in zip(radii.tolist(), choices, strict=True):
        _leaf(draw, size, max(1, round(share * size)), colours, choice)
    return image


def _leaf(
    draw: ImageDraw.ImageDraw,
    size: int,
    radius: int,
    colours: list[tuple[int, int, int]],
    choice: list[float],
) -> None:
    """Draw an ellipse, polygon, box or line, determined by the numbers `choice` in [0, 1)."""
    x, y = int(choice[0] * size), int(choice[1] * size)
    colour = colours[int(choice[2] * len(colours))]
    kind, shape = int(choice[3] * 4), choice[4:]
    if kind == 0:
        tall = max(1, round(radius * (0.4 + 0.6 * shape[0])))
        draw.ellipse((x - radius, y - tall, x + radius, y + tall), fill=colour)
    elif kind == 1:
        offsets = [round((2 * value - 1) * radius) for value in shape]
        n_corners = 3 + int(choice[0] * 997) % (_MOST_CORNERS - 2)
        corners = list(zip(offsets[0::2], offsets[1::2], strict=True))[:n_corners]
        corners.sort(key=lambda corner: math.atan2(corner[1], corner[0]))
        draw.polygon([(x + dx, y + dy) for dx, dy in corners], fill=colour)
    elif kind == 2:
        wide, tall = 1 + int(shape[0] * radius), 1 + int(shape[1] * radius)
        draw.rectangle((x - wide, y - tall, x + wide, y + tall), fill=colour)
    else:
        dx, dy = round((4 * shape[0] - 2) * radius), round((4 * shape[1] - 2) * radius)
        width = 1 + int(shape[2] * radius / 3)
        draw.line((x, y, x + dx, y + dy), fill=colour, width=width)


def _palette(generator: np.random.Generator) -> list[tuple[int, int, int]]:
    """Draw 24 colours around a random mean, because real scenes have a dominant colour."""
    light = int(generator.integers(50, 206)) + generator.integers(-35, 36, 3)
    spread = int(generator.integers(20, 110))
    luma = generator.integers(-spread, spread + 1, (24, 1))
    chroma = generator.integers(-spread // 2, spread // 2 + 1, (24, 3))
    colours = np.clip(light + luma + chroma, 0, 255)
    return [(int(red), int(green), int(blue)) for red, green, blue in colours]


def _texture(size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw mostly grey noise with 1/f amplitude and unit variance, as an (S, S, 3) array."""
    white = generator.standard_normal((4, size, size))
    noise = white[:3] + 2.0 * white[3]  # (3, S, S); the channels share 4/5 of the variance
    rows = np.fft.fftfreq(size)[:, None]
    columns = np.fft.rfftfreq(size)[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf  # no change of the mean
    texture: np.ndarray = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(size, size))
    deviation = float(np.std(texture)) or 1.0
    return np.moveaxis(texture / deviation, 0, 2)  # (3, S, S) -> (S, S, 3)
