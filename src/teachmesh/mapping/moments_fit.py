"""The teacher's half of class moments: from latents, or from other tasks' moments, to an anchor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.anchor import check_labels, check_latents
from teachmesh.mapping.moments import RANK, RESIDUAL_UNIT, UNIT, MomentsAnchor
from teachmesh.mapping.quantise import dequantise_rows, quantise_rows
from teachmesh.mapping.ridge import fit_ridge
from teachmesh.mapping.scatter import class_means, leading_directions

_TRACE_OF_A_TEACHER = 0.98  # leaves room for rounding
_MAX_LENGTH = 1.01  # of latents; they are projections of vectors of length 1


@dataclass(frozen=True, eq=False)
class LinearScores:
    """A linear head, given by its values at a point: `values + weights @ (x - centre)`.

    Attributes:
        weights: (C, D) float64.
        centre: (D,) float64.
        values: (C,) float64.
    """

    weights: np.ndarray
    centre: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Covariance:
    """A covariance as `rows.T @ rows / degrees + diag(rest)`.

    Attributes:
        rows: (N, D) float64.
        degrees: of freedom.
        rest: (D,) float64, or one number for all.
    """

    rows: np.ndarray
    degrees: int = 1
    rest: np.ndarray | float = 0.0


def fit_moments(
    latents: np.ndarray, labels: np.ndarray, n_classes: int, *, rank: int = RANK
) -> MomentsAnchor:
    """Moments and head of one task, in closed form.

    Args:
        latents: (N, D) float32 multi-depth latents, of length 1 at most.
        labels: (N,) int64; every class occurs.
        n_classes: C.
        rank: R, fewer where there are fewer images.

    Raises:
        ValueError: a class without an image, or latents that are too long.
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
    """Round class means (C, D), within-class covariance and head to what a skill carries.

    Args:
        means: (C, D) float64.
        within: of the whole task.
        head: about 1 for the right class, else about 0.
        rank: R, fewer where the covariance has fewer rows.
    """
    directions, weights, residual = _pack_covariance(within, rank)
    quantised_means, mean_scales = quantise_rows(means)
    quantised_head, head_scales = quantise_rows(head.weights)
    # The bias belongs to the rounded weights, so that rounding does no harm at the centre.
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
    """Directions, weights and residual diagonal of a covariance."""
    rows, degrees = within.rows, within.degrees
    diagonal = (rows * rows).sum(axis=0) / degrees + within.rest  # (D,)
    # With hardly more images than classes the unbiased estimate can exceed any true variance.
    shrink = min(1.0, _TRACE_OF_A_TEACHER / max(float(diagonal.sum()), 1e-12))
    vectors, squares = leading_directions(rows, rank)
    directions, scales = quantise_rows(vectors)
    variances = shrink / degrees * squares * scales.astype(np.float64) ** 2
    weights = np.rint(variances / UNIT).astype(np.uint32)
    explained = weights @ directions.astype(np.float64) ** 2 * UNIT  # (D,)
    residual = np.maximum(shrink * diagonal - explained, 0) / RESIDUAL_UNIT
    residual = np.minimum(residual, np.finfo(np.float16).max).astype(np.float16)
    return directions, weights, residual
