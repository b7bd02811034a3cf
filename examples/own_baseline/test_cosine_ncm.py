"""The baseline agrees with cosines computed by hand, and works in the runner of the bench."""

from __future__ import annotations

import numpy as np
from cosine_ncm import CosineNcm

from teachmesh_lab.baselines.baseline_registry import BASELINES, run_frozen
from teachmesh_lab.baselines.image_stream import LatentSplit, LatentTask


def make_task(number: int) -> LatentTask:
    """Draw two classes of 20 latents, around directions of their own."""
    random = np.random.default_rng(number)
    centres = random.normal(size=(2, 8))
    labels = np.arange(20) % 2
    rows = (centres[labels] + 0.1 * random.normal(size=(20, 8))).astype(np.float32)
    split = LatentSplit(rows, labels.astype(np.int64))
    return LatentTask(f"task {number}", ("one", "two"), split, split, split)


def test_scores_are_cosines() -> None:
    """The mean (3, 4) and the image (1, 0) have the cosine 0.6; length makes no difference."""
    baseline = CosineNcm(2, {}, 0)
    baseline.learn(0, np.array([[3, 4]], np.float32), np.zeros(1, np.int64), 1)
    assert baseline.consolidate() == 0
    for length in (1, 7):
        scores = baseline.scores(np.array([[length, 0]], np.float32))
        np.testing.assert_allclose(scores, [[0.6]], rtol=1e-6)
    assert baseline.task_bytes(0) == 8


def test_the_installed_baseline_runs_by_its_name() -> None:
    """The entry point makes it known to the laboratory."""
    result = run_frozen("cosine-ncm", [make_task(number) for number in range(3)])
    assert result.test.last_mean("free") > 0.9
    assert BASELINES["cosine-ncm"].source == CosineNcm.source
