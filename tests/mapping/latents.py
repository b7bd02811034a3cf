"""Small synthetic tasks in latent space, a metric for them, and an anchor of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.gmmc import fit_gmmc
from teachmesh.mapping.maha import fit_maha
from teachmesh.mapping.metric import Metric, ReferenceLatents, fit_metric
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


@cache
def sample_metric(dim: int = DIM) -> Metric:
    """Return the metric of twelve samples that no test uses as a task."""
    samples = [make_sample(1000 + seed, dim=dim) for seed in range(12)]
    latents = np.concatenate([sample.latents for sample in samples])
    labels = np.concatenate([sample.labels + 3 * t for t, sample in enumerate(samples)])
    return fit_metric(ReferenceLatents(latents, labels, latents[None, ::2]))


def make_moments(sample: Sample, *, rank: int = 6) -> MomentsAnchor:
    """Fit class moments to a sample."""
    metric = sample_metric(sample.latents.shape[1])
    return fit_moments(sample.latents, sample.labels, sample.n_classes, metric, rank=rank)


def make_anchor(kind: str, sample: Sample) -> TaskAnchor:
    """Fit an anchor of a kind to a sample."""
    if kind == "gmmc":
        return fit_gmmc(sample.latents, sample.n_classes, n_clusters=4)[0]
    if kind == "maha":
        return fit_maha(sample.latents, sample.labels, sample.n_classes)
    return make_moments(sample)
