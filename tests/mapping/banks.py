"""Banks of many small tasks of class moments, with random covariances."""

from __future__ import annotations

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.quantise import quantise_rows

DIM = 16
METRIC = Metric.identity(DIM)


def random_anchor(seed: int, *, size: float = 1.0) -> MomentsAnchor:
    """Return an anchor with 1 to 7 classes and 1 to 9 directions.

    Args:
        seed: seed of all numbers.
        size: factor applied to the class means.
    """
    random = np.random.default_rng(seed)
    n_classes, rank = int(random.integers(1, 8)), int(random.integers(1, 10))
    means, head = (random.normal(size=(n_classes, DIM)) for _ in range(2))
    levels, scales = quantise_rows(size * means)
    head_levels, head_scales = quantise_rows(head)
    tensors = {
        "means": levels,
        "mean_scales": scales,
        "directions": quantise_rows(random.normal(size=(rank, DIM)))[0],
        "variances": random.uniform(0, 9, rank).astype(np.float32),
        "rest": random.uniform(0.1, 2, 1).astype(np.float32),
        "degrees": random.integers(0, 200, 1).astype(np.uint32),
        "head": head_levels,
        "head_scales": head_scales,
        "head_bias": random.normal(size=n_classes).astype(np.float32),
    }
    return MomentsAnchor.from_tensors(tensors, n_classes)


def random_anchors(count: int, seed: int = 0) -> dict[str, MomentsAnchor]:
    """Return anchors whose keys are not in the order of their creation."""
    return {f"{(7 * n) % 97:02}-{n}": random_anchor(1000 * seed + n) for n in range(count)}


def mapper_of(anchors: dict[str, MomentsAnchor]) -> MomentsMapper:
    """Return a mapper with these anchors, added in the order of the dictionary."""
    mapper = MomentsMapper(METRIC)
    for key, anchor in anchors.items():
        mapper.add(key, anchor)
    return mapper


def questions(count: int, seed: int = 0, size: float = 1.0) -> np.ndarray:
    """Return (count, DIM) float32 latents."""
    return (size * np.random.default_rng(seed).normal(size=(count, DIM))).astype(np.float32)
