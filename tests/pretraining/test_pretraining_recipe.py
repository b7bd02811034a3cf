import numpy as np
import pytest
import torch

from pretraining.augment import augmented, plain
from pretraining.pretraining_recipe import Recipe


def test_sizes_follow_the_schedule() -> None:
    """Each size has its number of epochs, and no epoch follows the last size."""
    recipe = Recipe(schedule=((32, 2), (48, 1)))
    assert [recipe.size_of(epoch) for epoch in range(recipe.epochs)] == [32, 32, 48]
    with pytest.raises(IndexError):
        recipe.size_of(3)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    """The rate has one cycle: it rises during the warm-up and then falls until the end."""
    recipe = Recipe(peak_rate=0.2, warmup=0.25)
    rates = np.array([recipe.rate(step, 1000) for step in range(1000)])
    assert rates.max() <= 0.2
    assert 240 <= rates.argmax() <= 260
    assert (np.diff(rates[:250]) > 0).all()
    assert (np.diff(rates[251:]) < 0).all()
    assert rates[-1] < 1e-5


def test_the_same_draw_gives_the_same_crops() -> None:
    """Crops depend only on the generator, stay in range, and do not mix images."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    one = augmented(pixels, 48, torch.Generator().manual_seed(1))
    repeated = augmented(pixels, 48, torch.Generator().manual_seed(1))
    other = augmented(pixels, 48, torch.Generator().manual_seed(2))
    assert one.shape == (4, 3, 48, 48)
    assert torch.equal(one, repeated)
    assert not torch.equal(one, other)
    assert float(one.abs().max()) <= 1.0 + 1e-5


def test_a_plain_image_keeps_its_channels_and_its_mean() -> None:
    """Averaging an image to half its side preserves the channels and their means."""
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 255, 51
    means = plain(pixels, 32).mean((2, 3))[0]
    torch.testing.assert_close(means, torch.tensor([1.0, -1.0, -0.6]), rtol=0, atol=1e-6)
