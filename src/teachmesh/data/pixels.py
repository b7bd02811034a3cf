"""Conversions of a decoded image: upright, opaque, 8-bit RGB, square."""

from __future__ import annotations

import numpy as np
from PIL import Image

from teachmesh.errors import DataError

# How much larger than the target an intermediate image stays, so that shortcuts (JPEG's reduced
# scales, box reduction) are followed by a proper bicubic filter over at least two source pixels.
REDUCING_GAP = 2.0

DECODING = "decoding 2"
"""Names how pixels are made; changed with them, so that no older latents are taken for new ones."""

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

    `squash` then makes it a square, which is cheaper for many images of one shape at once.

    Args:
        image: of any mode that Pillow converts to RGB.
        orientation: EXIF orientation, 1 to 8.
        size: S, side in pixels that the image is going to have.

    Returns:
        (H, W, C) uint8, C = 1 for grey: a third of the work, the same values. A side of 4 S or more
        makes H = W = S already.

    Raises:
        ValueError: the mode has no conversion to RGB.
    """
    image = _opaque(image)
    if orientation != 1:
        image = image.transpose(_UPRIGHT[orientation])
    if max(image.size) >= 2 * REDUCING_GAP * size:
        # Only Pillow reduces by boxes first: many times faster for the largest images.
        image = image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def squash(pixels: np.ndarray, size: int) -> np.ndarray:
    """Images of one shape to squares, by a bicubic filter that averages where it shrinks.

    torch's filter is Pillow's up to two levels of 255 and takes a quarter of the time: its loops
    are vectorised, and many images share one table of weights.

    Args:
        pixels: (N, H, W, C) uint8.
        size: S, side of the results in pixels.

    Returns:
        (N, S, S, C) uint8. An image's result does not depend on the others.
    """
    if pixels.shape[1:3] == (size, size):
        return pixels
    import torch
    from torch.nn import functional

    # Pillow's own memory is read-only, which torch warns of.
    images = torch.from_numpy(pixels if pixels.flags.writeable else np.array(pixels))
    images = images.permute(0, 3, 1, 2)  # (N, C, H, W), channels last in memory as they lie
    squares = functional.interpolate(images, (size, size), mode="bicubic", antialias=True)
    return squares.permute(0, 2, 3, 1).numpy()


def _opaque(image: Image.Image) -> Image.Image:
    """Mode L or RGB. Transparent parts are laid on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit(image)
    if image.has_transparency_data:
        front = image.convert("RGBA")
        white = Image.new("RGBA", front.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, front).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey to 8-bit by its high byte, as Pillow does for 16-bit colour.

    Pillow's own conversion of 16-bit grey would clip everything above 255 to white.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    values = np.asarray(image).astype(np.int64)
    grey = (np.clip(values, 0, 0xFFFF) >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def from_array(array: np.ndarray) -> Image.Image:
    """A Pillow image of an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16.

    Raises:
        DataError: another shape or dtype.
    """
    pixels = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    known = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if not known or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16):
        raise DataError(
            "expected an array (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16, got shape "
            f"{array.shape} of {array.dtype}; move the channels last and scale to 0..255"
        )
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))
