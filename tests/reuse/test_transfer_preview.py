"""The preview of `match` equals the result of learning."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.reuse.moments_transfer import gate_moments
from teachmesh.reuse.transfer import Prior, TransferPreview, preview_transfer
from tests.reuse.test_moments_transfer import CLASSES, METRIC, bank_prior, old_task, sample
from tests.reuse.test_transfer import start


def shots(seed: int, per_class: int) -> LabelledLatents:
    """Return shots of the six classes, with equal latents for mappers and heads."""
    x, labels = sample(seed, per_class)
    return LabelledLatents(Latents(x, x), labels)


@pytest.mark.parametrize("order", [np.arange(CLASSES), np.roll(np.arange(CLASSES), 2)])
def test_moments_transfer_only_through_the_gate(order: np.ndarray) -> None:
    """Matching classes bring a gain; permuted ones change nothing."""
    train, prior = shots(33, 3), Prior(bank_prior(old_task(), order))
    found = preview_transfer("moments", train, CLASSES, prior)
    alone = fit_moments(train.latents.multi, train.labels, CLASSES, METRIC)
    assert prior.bank is not None
    learned = gate_moments(alone, train.latents.multi, train.labels, CLASSES, prior.bank)
    assert found.takes == learned.kind
    assert found.right_alone is not None
    assert found.right_with is not None
    assert (found.right_with > found.right_alone) == (found.takes == "classes")
    assert (found.takes == "classes") == (order[0] == 0)


def test_trained_heads_transfer_matching_rows_only() -> None:
    """Permuted rows are refused."""
    train = shots(41, 6)
    found = preview_transfer("maha", train, CLASSES, Prior(start=start(np.arange(CLASSES))))
    assert found.takes == "rows"
    assert preview_transfer(
        "maha", train, CLASSES, Prior(start=start(np.roll(np.arange(CLASSES), 2)))
    ) == TransferPreview("nothing", found.right_alone, found.right_alone)


def test_without_a_trial_the_preview_is_nothing() -> None:
    """There is no prior, or only one image per class."""
    assert preview_transfer("moments", shots(1, 3), CLASSES, Prior()) == TransferPreview("nothing")
    assert preview_transfer("gmmc", shots(1, 3), CLASSES, Prior()) == TransferPreview("nothing")
    one = Prior(bank_prior(old_task()), start(np.arange(CLASSES)))
    for method in ("moments", "maha"):
        assert preview_transfer(method, shots(1, 1), CLASSES, one) == TransferPreview("nothing")
