"""Fit the class moments of one task: class means, within-class scatter and linear head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.anchor import check_labels, check_latents
from teachmesh.mapping.anchor_kinds import RESIDUAL_UNIT, UNIT, MomentsAnchor
from teachmesh.mapping.moments import RANK
from teachmesh.mapping.quantise import dequantise_rows, quantise_rows
from teachmesh.mapping.ridge import fit_ridge

OVERSAMPLE = 16
"""Number of extra directions in the subspace iteration; they are dropped at the end."""
POWER_STEPS = 3
_SEED = 0
_LARGEST_TRACE = 0.98
"""Maximum total variance that a teacher sends: `MAX_TRACE` minus a margin for rounding."""
_MAX_LENGTH = 1.01
"""Maximum length of latents, which are projections of vectors of length 1."""


@dataclass(frozen=True, eq=False)
class LinearScores:
    """A linear head with the scores `values + weights @ (x - centre)`.

    Attributes:
        weights: (C, D) float64 head rows.
        centre: (D,) float64 reference point.
        values: (C,) float64 scores at the reference point.
    """

    weights: np.ndarray
    centre: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Covariance:
    """The covariance `rows.T @ rows / degrees + diag(rest)`.

    Attributes:
        rows: (N, D) float64 residuals or roots.
        degrees: number of degrees of freedom.
        rest: (D,) float64 diagonal, or one number for all dimensions.
    """

    rows: np.ndarray
    degrees: int = 1
    rest: np.ndarray | float = 0.0


def fit_moments(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, *, rank: int = RANK
) -> MomentsAnchor:
    """Fit the moments and the head of one task, in closed form.

    Args:
        latents: (N, D) float32 multi-depth latents, each with a length of at most 1.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
        rank: maximum number of directions, R.

    Raises:
        ValueError: a class has no image, or latents are too long.
    """
    check_latents(latents)
    check_labels(labels, len(latents), n_classes)
    longest = float(np.linalg.norm(latents, axis=1).max())
    if longest > _MAX_LENGTH:
        raise ValueError(
            f"expected multi-depth latents of length 1 at most, got {longest:.3g}; embed the "
            "images with a backbone that has a reference"
        )
    means = class_means(latents, labels, n_classes)
    within = Covariance(latents - means[labels], max(len(latents) - n_classes, 1))
    head = LinearScores(*fit_ridge(latents, labels, n_classes))
    return pack_moments(means, within, head, rank=rank)


def pack_moments(
    means: np.ndarray, within: Covariance, head: LinearScores, *, rank: int = RANK
) -> MomentsAnchor:
    """Quantise class means, within-class covariance and head as the skill format requires.

    Args:
        means: (C, D) float64 class means.
        within: within-class covariance of the task.
        head: linear head with scores of about 1 for the right class, otherwise about 0.
        rank: maximum number of directions, R.
    """
    directions, weights, residual = _pack_covariance(within, rank)
    quantised_means, mean_scales = quantise_rows(means)
    quantised_head, head_scales = quantise_rows(head.weights)
    # The bias is computed for the rounded weights, so that scores at the centre are exact.
    bias = head.values - dequantise_rows(quantised_head, head_scales) @ head.centre
    return MomentsAnchor(
        quantised_means,
        mean_scales,
        directions,
        weights,
        residual,
        quantised_head,
        head_scales,
        bias.astype(np.float32),
    )


def _pack_covariance(within: Covariance, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return directions, weights and residual diagonal of a covariance."""
    rows, degrees = within.rows, within.degrees
    diagonal = (rows * rows).sum(axis=0) / degrees + within.rest  # (D,)
    # With few images per class, the unbiased estimate can exceed the largest possible variance.
    shrink = min(1.0, _LARGEST_TRACE / max(float(diagonal.sum()), 1e-12))
    vectors, squares = leading_directions(rows, rank)
    directions, scales = quantise_rows(vectors)
    variances = shrink / degrees * squares * scales.astype(np.float64) ** 2
    weights = np.rint(variances / UNIT).astype(np.uint32)
    explained = weights @ directions.astype(np.float64) ** 2 * UNIT  # (D,)
    residual = np.maximum(shrink * diagonal - explained, 0) / RESIDUAL_UNIT
    residual = np.minimum(residual, np.finfo(np.float16).max).astype(np.float16)
    return directions, weights, residual


def class_means(latents: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (C, D) float64 class means.

    Args:
        latents: (N, D) latents.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
    """
    sums = torch.zeros(n_classes, latents.shape[1], dtype=torch.float64)
    sums.index_add_(0, torch.from_numpy(labels), torch.from_numpy(latents.astype(np.float64)))
    counts = np.bincount(labels, minlength=n_classes)
    return np.asarray(sums.numpy() / counts[:, None])


def leading_directions(residuals: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions of largest variance, by randomised subspace iteration.

    This is twenty times faster than an eigendecomposition. The small error in the last directions
    only moves variance to the residual diagonal.

    Args:
        residuals: (N, D) float64 rows minus their class means.
        rank: number of directions, R; limited to the smaller of N and D.

    Returns:
        (R, D) orthonormal rows and (R,) sums of squares along them, in decreasing order.

    References:
        Halko, Martinsson, Tropp, Finding structure with randomness, 2011, Algorithm 4.4.
    """
    rows = torch.from_numpy(residuals)
    n, dim = rows.shape
    rank = min(rank, n, dim)
    width = min(rank + OVERSAMPLE, n, dim)
    generator = torch.Generator().manual_seed(_SEED)
    start = torch.randn(dim, width, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(rows @ start).Q  # (N, width)
    for _ in range(POWER_STEPS):
        basis = torch.linalg.qr(rows.T @ basis).Q  # (D, width)
        basis = torch.linalg.qr(rows @ basis).Q  # (N, width)
    _, values, directions = torch.linalg.svd(basis.T @ rows, full_matrices=False)
    directions = directions[:rank]
    # The sign of a singular vector is arbitrary, so the largest entry is made positive.
    largest = directions.abs().argmax(dim=1, keepdim=True)
    signs = torch.where(directions.gather(1, largest) < 0, -1.0, 1.0)
    return np.asarray((directions * signs).numpy()), np.asarray((values[:rank] ** 2).numpy())
