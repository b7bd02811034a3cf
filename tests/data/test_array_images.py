"""Images in memory: every form of the same pixels gives the same image, others are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from teachmesh.data.image_inputs import find_images
from teachmesh.errors import DataError
from tests.data.pictures import encoded, smooth

PICTURE = smooth(20, 30, 3)  # (20, 30, 3) uint8
TENSOR = torch.from_numpy(PICTURE.copy()).permute(2, 0, 1)
FORMS = {
    "file": encoded(PICTURE),
    "bytearray": bytearray(encoded(PICTURE)),
    "Pillow": Image.fromarray(PICTURE),
    "opened file": Image.open(io.BytesIO(encoded(PICTURE))),
    "channels first": PICTURE.transpose(2, 0, 1),
    "reversed twice": PICTURE[::-1][::-1],
    "columns in order": np.asfortranarray(PICTURE),
    "float64": PICTURE / 255,
    "float32": (PICTURE / 255).astype(np.float32),
    "float16": (PICTURE / 255).astype(np.float16),
    "beyond 1 by rounding": PICTURE / 255 + 1e-4,
    "uint16": PICTURE.astype(np.uint16) << 8,
    "big-endian uint16": (PICTURE.astype(np.uint16) << 8).astype(">u2"),
    "opaque": np.dstack([PICTURE, np.full((20, 30), 255, np.uint8)]),
    "opaque uint16": np.dstack([PICTURE.astype(np.uint16) << 8, np.full((20, 30), 65535)]).astype(
        np.uint16
    ),
    "tensor": TENSOR,
    "tensor, channels last": TENSOR.permute(1, 2, 0),
    "float tensor": TENSOR / 255,
    "tensor with a gradient": (TENSOR / 255).requires_grad_(),
}


def _pixels(asked: object) -> np.ndarray:
    (image,) = find_images(asked)  # type: ignore[arg-type]
    return image.upright(10_000)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_pixels_gives_the_same_image(form: str) -> None:
    """Layout, precision, memory order and container make no difference."""
    np.testing.assert_array_equal(_pixels(FORMS[form]), PICTURE)


@pytest.mark.parametrize(
    "grey", [PICTURE[:, :, 0], PICTURE[:, :, :1], PICTURE[None, :, :, 0], TENSOR[:1] / 255]
)
def test_grey_images_have_one_channel_or_none(grey: object) -> None:
    """(H, W), (H, W, 1) and (1, H, W) are one grey image."""
    np.testing.assert_array_equal(_pixels(grey), PICTURE[:, :, :1])


def test_opacity_does_not_change_the_scale_of_deep_colours() -> None:
    """Colours of 12 bits are scaled alike with and without opacity; transparent parts are white."""
    deep = PICTURE.astype(np.uint16) << 4
    opacity = np.full((20, 30), 65535, np.uint16)
    opacity[0] = 0
    found = _pixels(np.dstack([deep, opacity]))
    np.testing.assert_array_equal(found[1:], _pixels(deep)[1:])
    assert (found[0] == 255).all()


def test_an_array_with_four_axes_is_a_list_of_images(tmp_path: Path) -> None:
    """Batches, lists, tuples, generators and arrays of paths all list their images in order."""
    (tmp_path / "a.png").write_bytes(encoded(PICTURE))
    paths = [str(tmp_path / "a.png"), tmp_path / "a.png"]
    for asked in (
        np.stack([PICTURE, PICTURE]),
        torch.stack([TENSOR, TENSOR]),
        [PICTURE, TENSOR],
        (image for image in (PICTURE, TENSOR)),
        paths,
        np.array([str(path) for path in paths]),
    ):
        images = find_images(asked)  # type: ignore[arg-type]
        assert len(images) == 2
        for image in images:
            np.testing.assert_array_equal(image.upright(10_000), PICTURE)


BAD = {
    "both ways": (np.zeros((3, 3, 3), np.uint8), "can be read in both ways"),
    "both ways, grey": (torch.zeros(1, 5, 3), "can be read in both ways"),
    "two channels": (np.zeros((8, 8, 2), np.uint8), r"C = 1, 3 or 4, got shape \(8, 8, 2\)"),
    "one axis": (np.zeros(8, np.uint8), r"got shape \(8,\)"),
    "no axis": (np.array(1.0), r"got shape \(\)"),
    "five axes": (np.zeros((1, 1, 2, 3, 3), np.uint8), "got shape"),
    "no pixels": (np.zeros((0, 8, 3), np.uint8), "got shape"),
    "white of 255": (np.full((8, 8, 3), 255.0), "got 255 to 255; divide by the white"),
    "normalised": (torch.full((3, 8, 8), -1.0), "got -1 to -1; undo the normalisation"),
    "NaN": (np.full((8, 8), np.nan), "got NaN or infinity"),
    "infinite": (torch.full((8, 8), torch.inf), "got NaN or infinity"),
    "int64": (torch.zeros(3, 8, 8, dtype=torch.int64), "got int64"),
    "bool": (np.zeros((8, 8), bool), "got bool"),
    "complex": (np.zeros((8, 8), complex), "got complex128"),
    "text": ("no such file.jpg", "found nothing"),
    "text too long": ("x" * 5000, "expected a path"),
    "unknown user": ("~nobody-here/a.jpg", "expected a path"),
    "empty file": (b"", "got an empty file"),
    "no image": (b"hello", "expected an image"),
    "mapping": ({"image": PICTURE}, "got a dict"),
    "nothing": (None, "got NoneType"),
    "number": (5, "got int"),
    "opened binary file": (io.BytesIO(encoded(PICTURE)), "got BytesIO"),
    "sparse": (torch.zeros(3, 8, 8).to_sparse(), "expected a dense tensor"),
    "empty list": ([], "at least one image"),
    "nested list": ([[1, 2]], "got list"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_value_that_is_no_image_is_refused_with_one_sentence(name: str) -> None:
    """The message has what was expected and what came."""
    asked, message = BAD[name]
    with pytest.raises(DataError, match=message):
        _pixels(asked)
