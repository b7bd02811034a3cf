"""Orientation in every block and number type that cameras and editors write."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.data.pictures import decode_image, encoded, png_chunk, smooth

SIDE = 24
UPRIGHT = Image.fromarray(smooth(20, 30, 3))
LYING = UPRIGHT.transpose(Image.Transpose.ROTATE_90)  # orientation 6 turns it upright
KINDS = {1: "BBH", 3: "HH", 4: "I", 6: "bBH", 8: "hH", 9: "i"}


def tiff_block(value: int, kind: int = 3, order: str = "<", gap: int = 0) -> bytes:
    """A TIFF block with the orientation alone, `gap` bytes after its header."""
    numbers = (value,) + (0,) * (len(KINDS[kind]) - 1)
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + struct.pack(order + KINDS[kind], *numbers)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(order + "I", 8 + gap) + bytes(gap)
    return mark + start + struct.pack(order + "H", 1) + entry + bytes(4)


def xmp(text: str, encoding: str = "utf-8") -> bytes:
    """An XMP packet with the TIFF namespace under the prefixes tiff and t."""
    name = "http://ns.adobe.com/tiff/1.0/"
    return f'<x xmlns:tiff="{name}" xmlns:t="{name}" {text}</x>'.encode(encoding)


def raw_profile(block: bytes) -> PngImagePlugin.PngInfo:
    """A profile as ImageMagick stores it in a PNG."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block):8d}\n{block.hex()}\n", zip=True)
    return info


def check_upright(data: bytes, tolerance: float = 0) -> None:
    """The decoded pixels are those of the upright picture."""
    expected = decode_image(encoded(UPRIGHT), SIDE).astype(int)
    assert np.abs(decode_image(data, SIDE) - expected).mean() <= tolerance


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("gap", [0, 6])
def test_every_number_type_turns_the_image(kind: int, order: str, gap: int) -> None:
    """BYTE to SLONG, both byte orders, a directory that starts later; in three formats."""
    block = tiff_block(6, kind, order, gap)
    check_upright(encoded(LYING, "PNG", exif=block))
    check_upright(encoded(LYING, "WEBP", lossless=True, exif=b"Exif\0\0" + block))
    check_upright(encoded(LYING, "JPEG", quality=95, exif=b"Exif\0\0" * 2 + block), 8)


def test_the_first_of_several_exif_blocks_with_the_tag_counts() -> None:
    """A block without the tag does not hide the next one."""
    data = encoded(LYING, "JPEG", quality=95)
    blocks = (b"Exif\0\0MM\0*\0\0\0\x08\0\0", b"Exif\0\0" + tiff_block(6))
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(b) + 2) + b for b in blocks)
    check_upright(data[:2] + segments + data[2:], 8)


@pytest.mark.parametrize(
    "packet",
    [
        xmp('tiff:Orientation="6">'),
        xmp("tiff:Orientation = '6'>"),
        xmp("><tiff:Orientation>6</tiff:Orientation>"),
        xmp('t:Orientation="6">'),
        xmp('tiff:Orientation="6">', "utf-16-le"),
    ],
)
def test_xmp_turns_an_image_without_exif(packet: bytes) -> None:
    """Attribute and element, other quotes and prefixes, UTF-16; in four formats."""
    check_upright(encoded(LYING, "JPEG", quality=95, xmp=packet), 8)
    check_upright(encoded(LYING, "WEBP", lossless=True, xmp=packet))
    check_upright(encoded(LYING, "TIFF", tiffinfo={700: packet}))
    body = b"XML:com.adobe.xmp" + bytes(5) + packet
    plain = encoded(LYING)
    check_upright(plain[:33] + png_chunk(b"iTXt", body) + plain[33:])


def test_exif_is_used_before_xmp() -> None:
    """An EXIF tag that says upright wins, also one with an unknown value, as in Pillow."""
    packet = xmp('tiff:Orientation="6">')
    for value in (1, 0, 9, 65535):
        data = encoded(UPRIGHT, "WEBP", lossless=True, exif=tiff_block(value), xmp=packet)
        check_upright(data)


def test_an_imagemagick_profile_turns_a_png() -> None:
    """The hexadecimal text has the EXIF block, with or without its mark."""
    for mark in (b"", b"Exif\0\0"):
        check_upright(encoded(LYING, pnginfo=raw_profile(mark + tiff_block(6, 4))))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_tag_of_a_tiff_turns_it_once(orientation: int) -> None:
    """Pillow turns TIFF files itself; ours is the same turn, not a second one."""
    data = encoded(UPRIGHT, "TIFF", tiffinfo={274: orientation})
    pillow = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(decode_image(data, SIDE), decode_image(encoded(pillow), SIDE))
