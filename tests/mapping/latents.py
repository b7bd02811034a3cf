"""Small synthetic tasks in latent space, and an anchor of each kind for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.gmmc import fit_gmmc
from teachmesh.mapping.maha import fit_maha
from teachmesh.mapping.moments_fit import fit_moments

DIM = 24


@dataclass(frozen=True, eq=False)
class Sample:
    """Latents of one task, with length 1, and their labels."""

    latents: np.ndarray
    labels: np.ndarray
    n_classes: int


def make_sample(seed: int, *, n_classes: int = 3, per_class: int = 12, dim: int = DIM) -> Sample:
    """Draw `per_class` images of each class, around random centres near a task centre."""
    random = np.random.default_rng(seed)
    task = random.normal(size=dim)
    centres = task + 0.7 * random.normal(size=(n_classes, dim))
    labels = np.tile(np.arange(n_classes, dtype=np.int64), per_class)
    spread = random.uniform(0.1, 0.6, dim)
    rows = centres[labels] + spread * random.normal(size=(len(labels), dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Sample(rows.astype(np.float32), labels, n_classes)


def make_anchor(kind: str, sample: Sample) -> TaskAnchor:
    """Fit an anchor of a kind to a sample."""
    if kind == "gmmc":
        return fit_gmmc(sample.latents, sample.n_classes, n_clusters=4)[0]
    if kind == "maha":
        return fit_maha(sample.latents, sample.labels, sample.n_classes)
    return fit_moments(sample.latents, sample.labels, sample.n_classes, rank=6)
