"""Conversion of samples of more than 8 bits to 8 bits, by the brightest sample of the image.

Cameras and microscopes store 10, 12 or 14 bits in 16-bit files, and the file does not tell. The
smallest of 8, 10, 12, 14 and 16 bits that holds the brightest sample is therefore taken as white.
The rule uses the image alone, so that learning and answering get the same pixels.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from PIL import Image

_DEPTHS = (8, 10, 12, 14, 16)
# Raw modes that give the low byte of each sample, while Pillow's own give the high byte.
_LOW_BYTES = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def eight_bits(samples: np.ndarray) -> np.ndarray:
    """Convert samples of any number type and shape to uint8.

    Integers of 0 to 65,535 lose their lowest bits. Floats of 0 to 1 are multiplied by 255, floats
    up to 65,535 are treated like integers. Other ranges are stretched to 0 to 255.

    Examples:
        >>> eight_bits(np.array([0, 2048, 4095], dtype=np.uint16)).tolist()
        [0, 128, 255]
        >>> eight_bits(np.array([0.0, 0.5, 1.0])).tolist()
        [0, 128, 255]
    """
    if samples.dtype.kind == "f":
        return _from_floats(samples)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 0xFFFF:
        return _stretched(samples, low, high)
    eight: np.ndarray = (samples >> (_depth(high) - 8)).astype(np.uint8)
    return eight


def load_samples(image: Image.Image, again: Image.Image | None) -> Image.Image:
    """Load an image; colour samples of 16 bits are converted by `eight_bits`.

    Args:
        image: an opened image that is not loaded yet.
        again: the same file opened a second time; None if it has 8 bits.
    """
    image.load()
    colours = len(image.getbands()) - image.mode.endswith("A")
    if again is None or max(band[1] for band in _extrema(image)[:colours]) >= 1 << 6:
        return image  # the high byte is what `eight_bits` gives for more than 14 bits
    _take_low_bytes(again)
    again.load()
    high, low = np.asarray(image), np.asarray(again)
    samples = high[:, :, :colours].astype(np.uint16) << 8 | low[:, :, :colours]
    scaled = np.concatenate([eight_bits(samples), high[:, :, colours:]], axis=2)
    return Image.fromarray(scaled, image.mode)


def has_wide_colours(image: Image.Image) -> bool:
    """Return whether an opened image has colour samples of 16 bits, of which Pillow keeps 8."""
    modes = [_raw_mode(tile.args) for tile in getattr(image, "tile", ())]
    return (
        bool(modes)
        and image.mode in ("RGB", "RGBA")
        and all(mode[-3:] in _LOW_BYTES and mode.startswith("RGB") for mode in modes)
    )


def _take_low_bytes(image: Image.Image) -> None:
    """Make an opened image load the low bytes of its samples instead of the high bytes."""
    tiles: list[Any] = getattr(image, "tile", [])
    for position, tile in enumerate(tiles):
        mode = _raw_mode(tile.args)
        low = mode[:-3] + _LOW_BYTES[mode[-3:]]
        args = (low, *tile.args[1:]) if isinstance(tile.args, tuple) else low
        tiles[position] = tile._replace(args=args)


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    found: Any = image.getextrema()
    return [(int(low), int(high)) for low, high in found]


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _depth(high: int) -> int:
    return next(depth for depth in _DEPTHS if high < 1 << depth)


def _from_floats(samples: np.ndarray) -> np.ndarray:
    finite = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if low < 0 or high > 0xFFFF:
        return _stretched(finite, low, high)
    white = 1.0 if high <= 1 else float((1 << _depth(int(np.ceil(high)))) - 1)
    eight: np.ndarray = np.rint(finite * np.float32(255 / white)).astype(np.uint8)
    return eight


def _stretched(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    scale = 255 / (high - low) if high > low else 0.0
    eight: np.ndarray = np.rint((samples.astype(np.float64) - low) * scale).astype(np.uint8)
    return eight
