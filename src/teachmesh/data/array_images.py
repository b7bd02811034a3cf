"""Images in arrays and tensors: where the channels are, and how numbers become 8-bit samples.

- A shape is (H, W), (H, W, C) or (C, H, W), with C = 1 (grey), 3 (RGB) or 4 (RGB and opacity). A
  shape that can be read in both ways, such as (3, 3, 3), is refused.
- uint8 is taken as it is. uint16 is scaled by its brightest sample, see `sixteen_bits`.
- Floats are from 0 to 1, whatever their precision. Others are refused, because their white is not
  known. Half a level beyond the range is allowed, because it rounds to the same sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from teachmesh.data.sixteen_bits import eight_bits
from teachmesh.errors import DataError

CHANNELS = (1, 3, 4)
"""Numbers of channels of grey images, RGB images, and RGB images with opacity."""
_HALF_LEVEL = 0.5 / 255
_TENSOR_ERRORS = (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)


def is_array(value: object) -> bool:
    """Return whether a value is a numpy array, a tensor, or another array with a shape."""
    return isinstance(value, np.ndarray) or (
        hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__array__")
    )


def as_array(value: Any) -> np.ndarray:
    """Return an array or tensor of any device as a numpy array, without a copy if possible.

    Raises:
        DataError: the tensor cannot be converted, such as a sparse one.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        if hasattr(value, "detach"):  # a torch tensor; numpy has no bfloat16
            value = value.detach().cpu()
            value = value.float() if value.is_floating_point() else value
            return np.asarray(value.numpy())
        return np.asarray(value)
    except _TENSOR_ERRORS as error:
        raise DataError(
            f"expected a dense tensor of uint8 or floats, got one that numpy cannot read "
            f"({' '.join(str(error).split())[:80]}); convert it with tensor.to_dense().cpu()"
        ) from error


def from_array(array: np.ndarray) -> Image.Image:
    """Make a Pillow image from an array, by the rules of this module.

    Raises:
        DataError: the shape, the number type or a value is not that of an image.

    Examples:
        >>> from_array(np.zeros((3, 5, 7), dtype=np.float32)).size
        (7, 5)
        >>> from_array(np.zeros((3, 3, 3), dtype=np.uint8))
        Traceback (most recent call last):
        ...
        teachmesh.errors.DataError: expected an image whose channels are either first or last, got \
shape (3, 3, 3), which can be read in both ways; pass it as a Pillow image
    """
    pixels = _channels_last(array)
    if pixels.shape[-1] == 1 and pixels.ndim == 3:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(_samples(pixels)))


def _channels_last(array: np.ndarray) -> np.ndarray:
    """Return the (H, W) or (H, W, C) array of an image."""
    shape = array.shape
    first, last = (array.ndim == 3 and shape[axis] in CHANNELS for axis in (0, -1))
    if array.size == 0 or not (array.ndim == 2 or first or last):
        raise DataError(
            "expected an image (H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4, got shape "
            f"{shape}; pass one image per array"
        )
    if first and last:
        raise DataError(
            "expected an image whose channels are either first or last, got shape "
            f"{shape}, which can be read in both ways; pass it as a Pillow image"
        )
    return array.transpose(1, 2, 0) if first else array


def _samples(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 samples; opacity never changes the scale of colours."""
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind == "u" and size == 1:
        return pixels
    if kind == "f":
        return _from_floats(pixels)
    if kind != "u" or size != 2:
        raise DataError(
            f"expected samples of uint8, uint16 or floats from 0 to 1, got {pixels.dtype}; convert "
            "them with .astype(np.uint8), or divide by their white"
        )
    native = pixels.astype(np.uint16)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        opacity = (native[:, :, 3:] >> 8).astype(np.uint8)
        return np.concatenate([eight_bits(native[:, :, :3]), opacity], axis=2)
    return eight_bits(native)


def _from_floats(pixels: np.ndarray) -> np.ndarray:
    if not np.isfinite(pixels).all():
        raise DataError("expected finite samples, got NaN or infinity; replace them by numbers")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_HALF_LEVEL or high > 1 + _HALF_LEVEL:
        remedy = "undo the normalisation" if low < 0 else "divide by the white, such as 255"
        raise DataError(
            f"expected floats from 0 to 1, got {low:.4g} to {high:.4g}; {remedy}, or clip them"
        )
    levels = np.rint(pixels.astype(np.float64) * 255).clip(0, 255)
    return np.asarray(levels.astype(np.uint8))
