"""HEIC, the format of phones, through the reader of the extra `heif`."""

from __future__ import annotations

import io
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from teachmesh.errors import DataError
from tests.data.pictures import decode_image, encoded, smooth

pillow_heif.register_heif_opener()  # for writing; teachmesh calls the reader itself

SIDE = 24
PICTURE = Image.fromarray(smooth(40, 60, 3))


def heic(image: Image.Image, **options: object) -> bytes:
    """The bytes of a HEIC file."""
    stream = io.BytesIO()
    image.save(stream, "HEIF", quality=95, **options)
    return stream.getvalue()


def difference(data: bytes, expected: Image.Image) -> float:
    """Mean difference of the decoded pixels from those of a PNG."""
    right = decode_image(encoded(expected), SIDE).astype(int)
    return float(np.abs(decode_image(data, SIDE) - right).mean())


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_phone_photo_has_the_pixels_of_its_png(mode: str) -> None:
    """Colour, grey and a picture with an opaque alpha channel."""
    picture = PICTURE.convert(mode)
    assert difference(heic(picture), picture) < 4


def test_a_photo_of_ten_bits_is_scaled_to_eight() -> None:
    """Newer phones store ten bits for each sample."""
    wide = np.asarray(PICTURE).astype(np.uint16) * 257
    file = pillow_heif.from_bytes(mode="RGB;16", size=PICTURE.size, data=wide.tobytes())
    stream = io.BytesIO()
    file.save(stream, quality=95)
    assert difference(stream.getvalue(), PICTURE) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_once(orientation: int) -> None:
    """Every orientation that a camera writes into the container."""
    block = Image.Exif()
    block[0x0112] = orientation
    tagged = encoded(PICTURE, "PNG", exif=block)
    right = decode_image(tagged, SIDE).astype(int)
    found = decode_image(heic(PICTURE, exif=block.tobytes()), SIDE)
    assert np.abs(found - right).mean() < 4


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_photo_is_damaged(share: float) -> None:
    """One sentence that names the format."""
    data = heic(PICTURE)
    with pytest.raises(DataError, match=r"expected a complete image, got a damaged HEIC file"):
        decode_image(data[: int(len(data) * share)], SIDE)


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs the reader."""
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(DataError, match=r"extra 'heif' .* pip install pillow-heif"):
        decode_image(heic(PICTURE), SIDE)
