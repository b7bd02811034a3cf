"""Formats, sample depths, metadata and sizes of everyday image files."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from teachmesh.data.decoding import decode_upright
from teachmesh.data.jpeg_segments import coefficient_bytes
from teachmesh.errors import DataError
from tests.data.pictures import decode_image, encoded, png_chunk, smooth

SIDE = 24
PICTURE = smooth(SIDE, SIDE, 1)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate", "big_tiff": True}),
        ("TIFF", {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}),
        ("PPM", {}),
        ("JPEG2000", {"irreversible": False}),
    ],
)
def test_lossless_formats_keep_every_pixel(image_format: str, options: dict[str, object]) -> None:
    """TIFF (compressed, large, the first of several pages), PPM and JPEG 2000."""
    data = encoded(PICTURE, image_format, **options)
    np.testing.assert_array_equal(decode_image(data, SIDE).transpose(1, 2, 0), PICTURE)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_turned_once() -> None:
    """The container's rotation is applied by us alone."""
    upright = Image.fromarray(smooth(20, 30, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(upright.transpose(Image.Transpose.ROTATE_90), "AVIF", quality=95, exif=exif)
    expected = decode_image(encoded(upright), SIDE).astype(int)
    assert np.abs(decode_image(data, SIDE) - expected).mean() < 8


def rgb16_png(samples: np.ndarray) -> bytes:
    """A PNG with 16 bits per colour, which Pillow cannot write."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_files_are_scaled_by_their_brightest_sample(bits: int) -> None:
    """White is 2^bits - 1, in grey PNG and TIFF and in colour PNG."""
    values = np.linspace(0, (1 << bits) - 1, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    expected = np.broadcast_to(values >> (bits - 8), (3, SIDE, SIDE))
    for image_format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode_image(encoded(values, image_format), SIDE), expected)
    colour = rgb16_png(np.stack([values] * 3, axis=2))
    np.testing.assert_array_equal(decode_image(colour, SIDE), expected)


@pytest.mark.parametrize("white", [1.0, 255.0, 4095.0])
def test_float_tiffs_are_scaled_by_their_range(white: float) -> None:
    """0 to 1 and whole ranges give 0 to 255; what is not a number is black."""
    values = np.linspace(0, white, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    expected = np.rint(values * np.float32(255 / white))
    pixels = decode_image(encoded(values, "TIFF"), SIDE)
    assert np.abs(pixels[0] - expected).max() <= 1
    values[0, 0] = np.nan
    assert decode_image(encoded(values, "TIFF"), SIDE)[0, 0, 0] == 0


def test_metadata_of_any_size_does_not_harm_a_png() -> None:
    """Text and profiles over Pillow's limits, broken ones, and damage in their check sums."""
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "n" * (2 << 20), zip=True)
    info.add_itxt("note", "n" * (2 << 20), zip=True)
    plain = encoded(PICTURE)
    broken = png_chunk(b"iCCP", b"x\0\0no profile") + png_chunk(b"zTXt", b"a\0\0b")[:-1] + b"?"
    many = png_chunk(b"tEXt", b"k\0v") * 500
    profile = bytes(3 << 20)
    for data in (
        encoded(PICTURE, pnginfo=info),
        encoded(PICTURE, icc_profile=profile),
        plain[:33] + broken + many + plain[33:],
    ):
        np.testing.assert_array_equal(decode_image(data, SIDE).transpose(1, 2, 0), PICTURE)


def test_a_file_with_a_wrong_name_is_what_it_contains() -> None:
    """Videos and other containers are no HEIC, and text that begins with BM is no bitmap."""
    for head, what in (
        (b"\0\0\0\x18ftypisom" + bytes(12), "a video"),
        (b"BMW and other cars are listed here", "text"),
        (b"P7\nWIDTH 3", "a PAM file"),
    ):
        with pytest.raises(DataError, match=f"got {what}"):
            decode_image(head, SIDE)


def test_the_memory_of_a_progressive_jpeg_is_known_from_its_header() -> None:
    """Two bytes per coefficient, half as many for 4:2:0; none for a sequential file."""
    image = Image.new("RGB", (64, 32))
    sizes = [
        coefficient_bytes(encoded(image, "JPEG", progressive=progressive, subsampling=sampling))
        for progressive, sampling in ((False, 0), (True, 0), (True, 2))
    ]
    assert sizes == [0, 64 * 32 * 6, 64 * 32 * 3]


def test_a_large_photo_is_decoded_at_a_reduced_scale() -> None:
    """48 megapixels of JPEG give a few thousand pixels; the limit counts those."""
    buffer = io.BytesIO()
    Image.new("RGB", (8064, 6048), (200, 60, 40)).save(buffer, "JPEG", quality=30)
    pixels = decode_upright(buffer.getvalue(), SIDE, max_pixels=1_000_000)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert np.abs(pixels.astype(int) - [200, 60, 40]).max() < 8
