"""Conversion of decoded images to upright, opaque, square 8-bit pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from teachmesh.data.sixteen_bits import eight_bits

# Shortcuts (JPEG's reduced scales, box reduction) leave an image this many times larger than
# the target, so that the last step is always a bicubic filter over at least two source pixels.
REDUCING_GAP = 2.0

DECODING = "decoding 3"
"""Version of the conversion to pixels; part of cache keys, so that old latents are never reused."""

_BAND_ROWS = 1024

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image, orientation: int, size: int) -> np.ndarray:
    """Turn a loaded image upright and convert it to opaque 8-bit grey or RGB.

    `squash` makes images square later, because resizing many images at once is cheaper.

    Args:
        image: an image of any mode that Pillow converts to RGB.
        orientation: EXIF orientation, 1 to 8.
        size: final side of the square image in pixels, S.

    Returns:
        The upright image as an (H, W, C) uint8 array. Grey images keep C = 1, which costs a third
        as much and gives the same values. If a side was 4 S or longer, the image is already S x S.

    Raises:
        ValueError: the mode has no conversion to RGB.
    """
    image = _opaque(image)
    if orientation != 1:
        image = image.transpose(_UPRIGHT[orientation])
    if max(image.size) >= 2 * REDUCING_GAP * size:
        # Pillow reduces by box averaging first, which is many times faster for large images.
        image = image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def turned(pixels: np.ndarray, orientation: int, size: int) -> np.ndarray:
    """Return the result of `upright` for (H, W, C) uint8 pixels, with C = 1 or 3."""
    if orientation == 1 and max(pixels.shape[:2]) < 2 * REDUCING_GAP * size:
        return pixels
    return upright(
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels), orientation, size
    )


def squash(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize images of one shape to squares, using a bicubic filter with antialiasing.

    torch's filter differs from Pillow's by at most two of 255 levels and takes a quarter of the
    time. Its loops are vectorised, and many images share one table of weights.

    Args:
        pixels: images of one shape, (N, H, W, C) uint8.
        size: side of the results in pixels, S.

    Returns:
        Square images, (N, S, S, C) uint8. The result for each image is independent of the others.
    """
    if pixels.shape[1:3] == (size, size):
        return pixels
    import torch
    from torch.nn import functional

    # Pillow's memory is read-only, and torch warns about that.
    images = torch.from_numpy(pixels if pixels.flags.writeable else np.array(pixels))
    images = images.permute(0, 3, 1, 2)  # (N, C, H, W), channels last in memory as before
    squares = functional.interpolate(images, (size, size), mode="bicubic", antialias=True)
    return squares.permute(0, 2, 3, 1).numpy()


def _opaque(image: Image.Image) -> Image.Image:
    """Convert to mode L or RGB; transparent parts become white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit(image)
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """Lay an image with transparency on white, in bands of rows so that little memory is used."""
    opaque = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND_ROWS):
        box = (0, top, image.width, min(top + _BAND_ROWS, image.height))
        front = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", front.size, (255, 255, 255, 255))
        opaque.paste(Image.alpha_composite(white, front).convert("RGB"), box[:2])
    return opaque


def _eight_bit(image: Image.Image) -> Image.Image:
    """Convert grey samples of 16 or 32 bits; Pillow's own conversion would clip them at 255."""
    values = np.asarray(image)
    grey = eight_bits(values)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
