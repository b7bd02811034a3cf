"""libjpeg-turbo alone gives the pixels and the refusals that Pillow's reader gives."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from PIL import Image

from teachmesh.data import fast_jpeg
from teachmesh.data.decoding import decode_upright
from teachmesh.data.jpeg_segments import jpeg_frame
from teachmesh.errors import DataError
from tests.data.pictures import encoded, smooth, with_exif

pytest.importorskip("simplejpeg", reason="simplejpeg is not installed")

SIDE = 24
Outcome = tuple[tuple[int, ...], bytes] | str


def outcome(data: bytes, decode: Callable[[bytes], np.ndarray]) -> Outcome:
    """The shape and bytes of the pixels, or the text of the refusal."""
    try:
        pixels = decode(data)
    except DataError as error:
        return str(error)
    return pixels.shape, pixels.tobytes()


@pytest.fixture
def by_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Outcome]:
    """Decode as on a machine without simplejpeg."""

    def decode(data: bytes) -> Outcome:
        with monkeypatch.context() as patch:
            patch.setattr(fast_jpeg, "_library", lambda: None)
            return outcome(data, lambda one: decode_upright(one, SIDE))

    return decode


def by_turbo(data: bytes) -> Outcome:
    """Decode with simplejpeg."""
    return outcome(data, lambda one: decode_upright(one, SIDE))


def noisy(height: int, width: int) -> np.ndarray:
    """A soft picture with noise, so that each coefficient of a block is used."""
    noise = np.random.default_rng(height).integers(-20, 20, (height, width, 3))
    return np.clip(smooth(height, width) + noise, 0, 255).astype(np.uint8)


def test_pixels_are_those_of_pillow(by_pillow: Callable[[bytes], Outcome]) -> None:
    """For sizes at all reduced scales, samplings, qualities, progressive and grey files."""
    sides = ((97, 131), (33, 300), (201, 240), (401, 420), (7, 9))
    for side, sampling, progressive, mode in product(sides, (0, 1, 2), (False, True), ("L", "RGB")):
        image = Image.fromarray(noisy(*side)).convert(mode)
        data = encoded(image, "JPEG", quality=85, subsampling=sampling, progressive=progressive)
        frame = jpeg_frame(data)
        assert frame is not None
        limits = {"max_pixels": 1 << 20, "max_bytes": 1 << 26}
        assert fast_jpeg.decode_jpeg(data, frame, 2 * SIDE, **limits) is not None
        assert by_turbo(data) == by_pillow(data)


def test_rotated_and_uncommon_files_are_those_of_pillow(
    by_pillow: Callable[[bytes], Outcome],
) -> None:
    """All orientations, files of RGB samples, CMYK files, and a second image behind the first."""
    image = Image.fromarray(noisy(90, 200))
    plain = encoded(image, "JPEG")
    files = [encoded(image, "JPEG", exif=with_exif(turn)) for turn in range(1, 9)]
    files += [
        encoded(image, "JPEG", keep_rgb=True),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image, "JPEG", restart_marker_rows=1),
        plain + b"\xff\xd8" + bytes(50),
    ]
    assert [by_turbo(data) for data in files] == [by_pillow(data) for data in files]


def test_damaged_files_are_those_of_pillow(by_pillow: Callable[[bytes], Outcome]) -> None:
    """The two readers agree on files with changed or missing bytes, also in the refusals."""
    draws = np.random.default_rng(5)
    whole = encoded(noisy(60, 80), "JPEG", quality=70)
    assert isinstance(by_turbo(whole), tuple)
    for cut in draws.integers(1, len(whole), 40):
        assert by_turbo(whole[:cut]) == by_pillow(whole[:cut])
    for place, value in zip(
        draws.integers(0, len(whole), 300), draws.integers(0, 256, 300), strict=True
    ):
        data = whole[:place] + bytes([value]) + whole[place + 1 :]
        assert by_turbo(data) == by_pillow(data)


def test_a_file_that_takes_much_memory_is_left_to_pillow() -> None:
    """Pillow decodes such files one at a time."""
    data = encoded(noisy(64, 64), "JPEG", progressive=True)
    frame = jpeg_frame(data)
    assert frame is not None
    needed = 8 * 64 * 64 + 2 * 64 * 64 * 3 // 2
    for spare, decoded in ((0, True), (-1, False)):
        limits = {"max_pixels": 1 << 20, "max_bytes": needed + spare}
        found = fast_jpeg.decode_jpeg(data, frame, 64, **limits)
        assert (found is not None) == decoded
    assert jpeg_frame(io.BytesIO(data).read(40)) is None
