"""Bytes of an image file -> pixels, each conversion against an independent computation."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from teachmesh.data.pixels import squash
from teachmesh.errors import DataError
from tests.data.pictures import decode_image, encoded, png_chunk, smooth, to_pixels, with_exif

SIDE = 24


def square_image(seed: int = 0) -> np.ndarray:
    """(S, S, 3): decoding it at S needs no resize, so values are compared exactly."""
    return smooth(SIDE, SIDE, seed)


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_every_supported_format_gives_the_pixels_that_pillow_gives(image_format: str) -> None:
    """All five formats come out as (3, S, S) uint8 RGB, equal to a plain Pillow decode."""
    data = encoded(square_image(), image_format)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    pixels = decode_image(data, SIDE)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, expected)


def test_channels_rows_and_columns_are_not_swapped() -> None:
    """A red left half stays channel 0, columns to the left."""
    image = np.zeros((10, 10, 3), dtype=np.uint8)
    image[:, :5, 0] = 255
    pixels = decode_image(encoded(image), 10)
    assert pixels[0, :, :5].min() == 255
    assert pixels[0, :, 5:].max() == pixels[1:].max() == 0


@pytest.mark.parametrize("sides", [(13, 17), (24, 60), (47, 24), (95, 95)])
@pytest.mark.parametrize("channels", [1, 3])
def test_squashing_equals_pillows_bicubic_filter(sides: tuple[int, int], channels: int) -> None:
    """Oracle: Pillow, to two levels of 255; an image's result does not depend on others."""
    images = np.stack([smooth(*sides, seed)[:, :, :channels] for seed in range(3)])
    squares = squash(images, SIDE)
    for image, found in zip(images, squares, strict=True):
        pillow = Image.fromarray(image if channels == 3 else image[:, :, 0])
        expected = np.asarray(pillow.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=int)
        assert np.abs(found.astype(int) - expected.reshape(found.shape)).max() <= 2
        np.testing.assert_array_equal(found, squash(image[None], SIDE)[0])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_equals_the_manually_rotated_image(
    orientation: int, image_format: str
) -> None:
    """All eight orientations, on an image whose sides differ, equal Pillow's own transposition."""
    options = {"lossless": True} if image_format == "WEBP" else {}
    image = Image.fromarray(smooth(20, 30, 3))
    data = encoded(image, image_format, exif=with_exif(orientation), **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert upright is not None
    np.testing.assert_array_equal(
        decode_image(data, SIDE), decode_image(encoded(upright.convert("RGB")), SIDE)
    )


@pytest.mark.parametrize(
    "tail", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_damaged_exif_is_ignored_without_a_warning(tail: bytes) -> None:
    """An EXIF block that ends anywhere means upright; Pillow never gets to warn about it."""
    data = encoded(square_image(), "JPEG", exif=b"Exif\0\0" + tail)
    plain = encoded(square_image(), "JPEG")
    np.testing.assert_array_equal(decode_image(data, SIDE), decode_image(plain, SIDE))


def test_exif_with_broken_entries_is_ignored_without_a_warning() -> None:
    """Tags that point outside of the block make Pillow's parser warn; ours does not look."""
    entry = struct.pack("<HHII", 0x011A, 5, 1, 0xFFFFFF)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entry + entry
    decode_image(encoded(square_image(), "JPEG", exif=exif), SIDE)


def test_transparency_is_laid_on_white() -> None:
    """RGBA and LA: colour x alpha + white x (1 - alpha), to one rounding step."""
    colour = square_image()
    alpha = np.arange(SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE) % 256
    for channels in (colour, colour[:, :, :1]):
        image = np.concatenate([channels, alpha[:, :, None].astype(np.uint8)], axis=2)
        share = alpha[:, :, None] / 255
        expected = channels * share + 255 * (1 - share)
        pixels = decode_image(encoded(Image.fromarray(image)), SIDE).transpose(1, 2, 0)
        assert np.abs(pixels - expected).max() <= 1


def test_palettes_are_looked_up_and_their_transparency_is_white() -> None:
    """Palette entries become their colours; entries with an alpha are blended with white."""
    indices = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 3).astype(np.uint8)
    colours = np.array([[200, 10, 30], [0, 255, 0], [9, 9, 90]], dtype=np.uint8)
    image = Image.frombytes("P", (SIDE, SIDE), indices.tobytes())
    image.putpalette(colours.tobytes())
    np.testing.assert_array_equal(
        decode_image(encoded(image), SIDE).transpose(1, 2, 0), colours[indices]
    )
    alpha = np.array([255, 0, 128])
    blended = colours * (alpha[:, None] / 255) + 255 * (1 - alpha[:, None] / 255)
    pixels = decode_image(encoded(image, transparency=bytes([255, 0, 128])), SIDE)
    assert np.abs(pixels.transpose(1, 2, 0) - blended[indices]).max() <= 1


def test_a_transparent_colour_key_becomes_white() -> None:
    """PNG's single transparent colour (RGB) and transparent grey (L) are white."""
    image = np.full((SIDE, SIDE, 3), 7, dtype=np.uint8)
    image[0] = (1, 2, 3)
    assert decode_image(encoded(image, transparency=(1, 2, 3)), SIDE)[:, 0].min() == 255
    assert decode_image(encoded(image[:, :, 0], transparency=7), SIDE)[:, 1:].min() == 255


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    """65535 is white and 256 is almost black; Pillow's own conversion would clip both to white."""
    values = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    pixels = decode_image(encoded(values), SIDE)
    np.testing.assert_array_equal(pixels, np.broadcast_to(values >> 8, pixels.shape))


def test_cmyk_jpeg_is_converted_by_the_subtractive_formula() -> None:
    """R = (255 - C) x (255 - K) / 255, up to what JPEG itself loses."""
    ink = np.concatenate([square_image(1), square_image(2)[:, :, :1] // 2], axis=2)
    data = encoded(Image.frombytes("CMYK", (SIDE, SIDE), ink.tobytes()), "JPEG", quality=100)
    cmyk = np.asarray(Image.open(io.BytesIO(data))).astype(np.int64)
    expected = (255 - cmyk[:, :, :3]) * (255 - cmyk[:, :, 3:]) / 255
    assert np.abs(decode_image(data, SIDE).transpose(1, 2, 0) - expected).max() <= 1


def test_grey_and_black_and_white_fill_three_equal_channels() -> None:
    """L and 1-bit images become grey RGB."""
    grey = square_image()[:, :, 0]
    pixels = decode_image(encoded(grey), SIDE)
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3))
    bits = Image.fromarray(grey).convert("1")
    pixels = decode_image(encoded(bits), SIDE)
    np.testing.assert_array_equal(pixels, np.stack([np.asarray(bits.convert("L"))] * 3))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_counts(image_format: str) -> None:
    """An animation of 50 frames is its first picture."""
    frames = [Image.new("RGB", (SIDE, SIDE), (5 * n, 0, 255 - 5 * n)) for n in range(50)]
    data = encoded(frames[10], image_format, save_all=True, append_images=frames)
    pixels = decode_image(data, SIDE)
    assert np.abs(pixels[:, 5, 5].astype(int) - [50, 0, 205]).max() <= 3


def test_an_odd_animation_chunk_does_not_make_pillow_warn() -> None:
    """A PNG that claims zero frames is read as the still image it also is."""
    data = encoded(square_image())
    odd = data[:33] + png_chunk(b"acTL", struct.pack(">II", 0, 0)) + data[33:]
    np.testing.assert_array_equal(decode_image(odd, SIDE), decode_image(data, SIDE))


def test_large_jpegs_are_decoded_at_reduced_scale_without_visible_change() -> None:
    """The draft mode's shortcut stays within two grey levels of the full decode on average."""
    data = encoded(smooth(900, 1200, 4), "JPEG", quality=95)
    full = Image.open(io.BytesIO(data)).convert("RGB")
    expected = np.asarray(full.resize((64, 64), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.abs(decode_image(data, 64).astype(int) - expected).mean() < 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (7, 3)])
def test_any_shape_becomes_a_square(height: int, width: int) -> None:
    """The whole image is squashed: nothing is cropped, not even of a line of pixels."""
    assert decode_image(encoded(smooth(height, width)), SIDE).shape == (3, SIDE, SIDE)


def test_an_image_in_memory_gives_the_pixels_of_its_file() -> None:
    """Pillow images, arrays and files of one picture agree; 16-bit and grey arrays too."""
    array = smooth(30, 40)
    expected = decode_image(encoded(array), SIDE)
    for image in (array, Image.fromarray(array), Image.open(io.BytesIO(encoded(array)))):
        np.testing.assert_array_equal(to_pixels(image, SIDE), expected)
    wide = array.astype(np.uint16) << 8
    np.testing.assert_array_equal(to_pixels(wide, SIDE), expected)
    grey = decode_image(encoded(array[:, :, 0]), SIDE)
    np.testing.assert_array_equal(to_pixels(array[:, :, :1], SIDE), grey)


def test_an_opened_image_is_turned_once_and_a_turned_one_not_again() -> None:
    """Pillow copies keep the EXIF block of their original; only the original needs turning."""
    data = encoded(smooth(20, 30), "JPEG", exif=with_exif(6))
    opened = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(to_pixels(opened, SIDE), decode_image(data, SIDE))
    turned = opened.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(to_pixels(turned, SIDE), decode_image(data, SIDE))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 8, 3), dtype=np.uint8),
        np.zeros(8, dtype=np.uint8),
        "photo.jpg",
    ],
)
def test_what_is_no_picture_in_memory_is_refused(image: object) -> None:
    """Empty arrays and other types: one sentence each."""
    with pytest.raises(DataError, match="expected"):
        to_pixels(image, SIDE)  # type: ignore[arg-type]
