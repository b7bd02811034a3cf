"""Seeded dead-leaves images."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import UsageError

GOLDEN = "38ef103c320718e13d3bbbc54682b2f52de71f9182c6683e1c6bf1f7fc83d63f"
IMAGES = procedural_images(120, 48)


def test_the_first_images_are_known_bytes() -> None:
    """Golden: a reference that is computed tomorrow sees the pictures of today."""
    digest = hashlib.sha256(procedural_images(8, 64, seed=0).tobytes()).hexdigest()
    assert digest == GOLDEN


def test_a_shorter_series_is_the_beginning_of_a_longer_one() -> None:
    """Image i depends on seed, i and size only."""
    np.testing.assert_array_equal(procedural_images(3, 48), IMAGES[:3])
    assert not np.array_equal(procedural_images(3, 48, seed=1), IMAGES[:3])


def test_shape_and_type_are_those_of_decoded_images() -> None:
    """(n, 3, S, S) uint8; none and one pixel work too."""
    assert IMAGES.shape == (120, 3, 48, 48)
    assert IMAGES.dtype == np.uint8
    assert procedural_images(0, 48).shape == (0, 3, 48, 48)
    assert procedural_images(2, 1).shape == (2, 3, 1, 1)


@pytest.mark.parametrize(("n", "size"), [(-1, 48), (1, 0)])
def test_impossible_sizes_are_refused(n: int, size: int) -> None:
    """A sentence instead of a numpy error."""
    with pytest.raises(UsageError, match="expected n >= 0"):
        procedural_images(n, size)


def test_about_a_third_is_grey() -> None:
    """Equal channels in a third of the images (binomial, 4 sigma)."""
    grey = (IMAGES[:, :1] == IMAGES).all(axis=(1, 2, 3)).sum()
    assert 20 <= grey <= 60


def test_the_values_are_spread_like_those_of_photographs() -> None:
    """Mean near the middle, wide spread, few images flat, few pixels clipped."""
    assert 105 <= IMAGES.mean() <= 150
    assert 45 <= IMAGES.std() <= 80
    assert np.median(IMAGES.std(axis=(1, 2, 3))) > 25
    assert (IMAGES == 0).mean() < 0.1
    assert (IMAGES == 255).mean() < 0.1


def test_the_spectrum_falls_like_that_of_photographs() -> None:
    """Amplitude falls about as 1/f: the log-log slope is between -0.7 and -1.6."""
    luma = IMAGES.mean(axis=1) - IMAGES.mean(axis=(1, 2, 3))[:, None, None]
    amplitude = np.abs(np.fft.rfft2(luma)).mean(axis=0)
    frequency = np.hypot(np.fft.fftfreq(48)[:, None], np.fft.rfftfreq(48)[None, :])
    inside = (frequency > 0.04) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inside]), np.log(amplitude[inside]), 1)[0]
    assert -1.6 <= slope <= -0.7
