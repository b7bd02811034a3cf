"""Densities of tasks compared with plain Gaussians, and in float32 with float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from teachmesh.mapping.discriminant import TaskDensity, TaskMoments

UNIT = 2.0**-24
"""Unit roundoff of float32."""


def random_task(dim: int, classes: int, rank: int, size: float = 1.0) -> TaskMoments:
    """Return a task with a quarter of the weight on its own covariance."""
    random = np.random.default_rng(dim + classes + rank)
    means, roots = size * random.normal(size=(classes, dim)), random.normal(size=(rank, dim))
    return TaskMoments(means, roots, 0.6, 0.25)


def log_densities(task: TaskMoments, points: np.ndarray) -> np.ndarray:
    """Return (N, C) log densities from the explicit covariance, without the constant."""
    unit = np.eye(task.means.shape[1])
    covariance = 0.75 * unit + 0.25 * (task.roots.T @ task.roots + task.rest * unit)
    residuals = points[:, None] - task.means
    squared = np.einsum("ncd,de,nce->nc", residuals, np.linalg.inv(covariance), residuals)
    return np.asarray(-0.5 * (squared + np.linalg.slogdet(covariance)[1]))


def random_points(dim: int, count: int = 20, size: float = 1.0) -> np.ndarray:
    """Return (count, dim) float64 points."""
    return size * np.random.default_rng(7).normal(size=(count, dim))


@pytest.mark.parametrize(("classes", "rank"), [(1, 1), (5, 8), (40, 3), (3, 60)])
def test_scores_are_log_densities_of_plain_gaussians(classes: int, rank: int) -> None:
    """Rounding to float32 changes about the seventh digit; R may exceed D."""
    task, points = random_task(30, classes, rank), random_points(30)
    density = TaskDensity.of(task)
    assert density.rows.shape == (classes, 30)
    assert density.axes.shape == (rank, 30)
    found = density.scores(torch.from_numpy(points))
    np.testing.assert_allclose(found, log_densities(task, points), rtol=1e-5)


@pytest.mark.parametrize("coordinates", [1, 7, 30, 99])
def test_leading_coordinates_have_the_marginal_density(coordinates: int) -> None:
    """With all directions, the covariance is that of the first coordinates."""
    task, points = random_task(30, 4, 6), random_points(30)
    kept = task.leading(coordinates, 99)
    whole = task.roots.T @ task.roots
    part = kept.roots.T @ kept.roots
    np.testing.assert_allclose(part, whole[:coordinates, :coordinates], atol=1e-12)
    found = TaskDensity.of(kept).scores(torch.from_numpy(points[:, :coordinates].copy()))
    np.testing.assert_allclose(found, log_densities(kept, points[:, :coordinates]), rtol=1e-5)


def placed(values: np.ndarray, offset: int, columns: int) -> np.ndarray:
    """Return a copy whose memory starts `offset` bytes after a multiple of 64."""
    n_rows, width = values.shape
    buffer = np.zeros(n_rows * columns + 16)
    first = (-buffer.ctypes.data % 64 + offset) // 8
    copy = buffer[first : first + n_rows * columns].reshape(n_rows, columns)[:, :width]
    copy[...] = values
    return copy


@pytest.mark.parametrize("dim", [9, 16, 40])
def test_densities_do_not_depend_on_the_place_of_moments_in_memory(dim: int) -> None:
    """Products are rounded otherwise at another place or with other strides."""
    for seed in range(20):
        task = random_task(dim, 5, 3 + seed)
        densities = []
        for offset, columns in itertools.product(range(0, 64, 8), (dim, dim + 7)):
            means, roots = (placed(part, offset, columns) for part in (task.means, task.roots))
            density = TaskDensity.of(TaskMoments(means, roots, task.rest, task.share))
            densities.append(density.matrix.tobytes() + density.offsets.tobytes())
        assert len(set(densities)) == 1


def test_leading_directions_are_the_first_ones() -> None:
    """Means, the remaining variance and the share stay."""
    task = random_task(30, 4, 6)
    kept = task.leading(99, 2)
    assert kept.roots.tobytes() == task.roots[:2].tobytes()
    assert kept.means.tobytes() == task.means.tobytes()
    assert (kept.rest, kept.share) == (task.rest, task.share)


@pytest.mark.parametrize("dim", [16, 30, 1024])
@pytest.mark.parametrize("size", [1e-3, 1.0, 25.0])
def test_evidence_in_float32_agrees_with_float64(dim: int, size: float) -> None:
    """Each product has an error of at most (D + 2) u |a| |b|, and common terms are in float64."""
    density = TaskDensity.of(random_task(dim, 5, 12, size))
    z = torch.from_numpy(random_points(dim, size=size))
    exact = density.scores(z).amax(dim=1).numpy()
    g = (dim + 2) * UNIT / (1 - (dim + 2) * UNIT)
    longest = np.linalg.norm(density.rows.astype(np.float64), axis=1).max()
    axes = density.axes.astype(np.float64)
    for point, expected in zip(z, exact, strict=True):
        length = float(point.norm())
        found = density.evidence_in_float32(point.float(), length**2)
        drift = g * float(np.linalg.norm(axes)) * length
        bound = g * longest * length + 2 * drift * float(np.linalg.norm(axes @ point.numpy()))
        assert abs(found - expected) <= bound + drift**2 + 1e-12 * abs(expected)
        assert abs(found - expected) <= 1e-4 * abs(expected)  # in practice
