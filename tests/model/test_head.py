"""The linear head of one task computes its logits."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.model.head import Head


def head() -> Head:
    """Draw a head of three classes and five dimensions."""
    rng = np.random.default_rng(0)
    return Head(rng.normal(size=(3, 5)).astype(np.float32), np.arange(3, dtype=np.float32))


def test_logits_are_the_scalar_products_plus_bias() -> None:
    """The oracle is a double loop. Read-only arrays of decoded skills are accepted."""
    one = head()
    one.weight.setflags(write=False)
    latents = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    expected = [
        [sum(w * x for w, x in zip(row, z, strict=True)) + b for row, b in zip(*parts, strict=True)]
        for z in latents.tolist()
        for parts in [(one.weight.tolist(), one.bias.tolist())]
    ]
    found = one.logits(latents)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    """The error comes at construction or at use, with both shapes."""
    with pytest.raises(ValueError, match=r"shapes \(C, D\) and \(C,\), got \(2, 3\)"):
        Head(np.zeros((2, 3), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"expected latents \(N, 5\), got \(1, 4\)"):
        head().logits(np.zeros((1, 4), np.float32))
