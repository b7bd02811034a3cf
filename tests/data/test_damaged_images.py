"""Decompression bombs, damaged files and other data are refused with one sentence."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from teachmesh.data.decoding import MAX_PIXELS, decode_upright
from teachmesh.data.images import ImageRef
from teachmesh.errors import DataError
from tests.data.pictures import decode_image, encoded, png_chunk, smooth, with_exif

SIDE = 24


def bomb(image_format: str, width: int, height: int) -> bytes:
    """A few bytes that announce a huge canvas."""
    if image_format == "PNG":
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        pixels = png_chunk(b"IDAT", zlib.compress(bytes(100)))
        return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")
    if image_format == "GIF":
        frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0;"
        return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"!\xf9\x04\0\0\0\0\0" + frame
    if image_format == "BMP":
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info
    if image_format == "WEBP":
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides
        return b"RIFF" + struct.pack("<I", len(body)) + body
    data = bytearray(encoded(smooth(8, 8), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "WEBP", "JPEG"])
@pytest.mark.parametrize("width", [9000, 16001])
def test_decompression_bombs_are_refused_from_their_header(image_format: str, width: int) -> None:
    """81 and 256 megapixels are over the cap, in every format, with one sentence, no warning.

    A JPEG may have 256 megapixels, because an eighth of its width is decoded.
    """
    limit = 256 if image_format == "JPEG" else 64
    width = max(width, 16001) if image_format == "JPEG" else width
    with pytest.raises(DataError, match=f"at most {limit} megapixels, got {width} x {width}"):
        decode_image(bomb(image_format, width, width), SIDE, source="x.png")


def test_the_pixel_cap_holds_to_the_pixel() -> None:
    """An image of exactly the cap is decoded, one row more is refused."""
    data = encoded(smooth(20, 30))
    assert decode_upright(data, SIDE, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(DataError, match="megapixels"):
        decode_upright(data, SIDE, max_pixels=599)
    assert MAX_PIXELS == 64_000_000


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_truncated_file_is_refused(image_format: str) -> None:
    """Half an image is no image; the sentence says damaged and names the file."""
    data = encoded(smooth(100, 100), image_format)
    with pytest.raises(DataError, match=r"damaged \w+ file in 'a/b\.jpg'"):
        decode_image(data[: len(data) // 2], SIDE, source="a/b.jpg")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"hello, I am no image\n", "text"),
        (b"\0\0\0\x18ftypisom", "a video or another container, which is not supported"),
        (b"\0\0\x01\0\x01\0", "an icon file, which is not supported"),
        (b"%PDF-1.7", "a PDF file, which is not supported"),
        (b"%!PS-Adobe EPSF", "a PostScript file, which is not supported"),
        (b"8BPS\0\x01", "a Photoshop file, which is not supported"),
        (b"<?xml version='1.0'?><svg/>", "an SVG file, which is not supported"),
        (bytes(range(128, 200)), "unknown bytes"),
    ],
)
def test_what_is_no_supported_image_is_named(data: bytes, what: str) -> None:
    """The message names the real format and the remedy, for any file name."""
    with pytest.raises(DataError, match=f"got {what}.*convert it to JPEG or PNG"):
        decode_image(data, SIDE)


def test_an_empty_file_is_to_be_copied_again() -> None:
    """Nothing in it can be converted."""
    with pytest.raises(DataError, match="got an empty file; copy it again"):
        decode_image(b"", SIDE)


def test_random_damage_is_refused_or_survived_but_never_leaks() -> None:
    """600 damaged files: pixels or DataError, no other exception and no warning."""
    generator = np.random.default_rng(5)
    exif = with_exif(6)
    originals = [
        encoded(smooth(20, 30), "JPEG", exif=exif, progressive=True),
        encoded(smooth(20, 30), "PNG", exif=exif),
        encoded(Image.fromarray(smooth(20, 30)).quantize(8), "GIF", transparency=1),
        encoded(smooth(20, 30), "WEBP", exif=exif),
        encoded(smooth(20, 30), "BMP"),
        encoded(Image.fromarray(smooth(9, 9)).quantize(9), "PNG", transparency=bytes(9)),
    ]
    refused: list[str] = []
    for original in originals:
        for _ in range(100):
            data = bytearray(original)
            for position in generator.integers(0, len(data), 4):
                data[position] = generator.integers(256)
            try:
                assert decode_image(bytes(data), 8).shape == (3, 8, 8)
            except DataError as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert all(map(str.isprintable, refused))


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    """A reference to no regular file says so instead of waiting for ever."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.jpg", tmp_path, tmp_path / "pipe"):
        with pytest.raises(DataError, match="expected a readable image"):
            ImageRef(path).read()


def test_a_reference_shows_no_escape_codes() -> None:
    """A path is printed as one harmless line."""
    assert str(ImageRef(Path("a\x1b[2J\n.jpg"))) == "a\\x1b[2J\\n.jpg"
    assert str(ImageRef(Path("t.tar"), "cat/1.jpg", 512, 9)) == "t.tar:cat/1.jpg"


def test_even_a_full_sized_bomb_costs_little_memory() -> None:
    """A 169-megapixel PNG of 160 KB is refused by a process that may not use 400 MB more."""
    code = (
        "import resource, struct, zlib, sys\n"
        "from teachmesh.data.images import decode_upright\n"
        "from teachmesh.errors import DataError\n"
        "p = struct.pack\n"
        "c = lambda k, b: p('>I', len(b)) + k + b + p('>I', zlib.crc32(k + b))\n"
        "n = 13000\n"
        "z = zlib.compressobj(9)\n"
        "rows = b''.join(z.compress(bytes(n // 8 + 2)) for _ in range(n)) + z.flush()\n"
        "head = p('>IIBBBBB', n, n, 1, 0, 0, 0, 0)\n"
        "png = b'\\x89PNG\\r\\n\\x1a\\n' + c(b'IHDR', head)\n"
        "png += c(b'IDAT', rows) + c(b'IEND', b'')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode_upright(png, 64)\n"
        "except DataError:\n"
        "    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "    sys.exit(0 if used < 20_000 else 1)\n"
        "sys.exit(2)\n"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
