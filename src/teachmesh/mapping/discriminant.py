"""Regularised discriminant analysis of many tasks at once, in whitened space.

The covariance used for a task is (1 - g) times the tied covariance plus g times the task's own.
Whitening by the tied covariance turns it into a I + g U diag(l) U^T, where U has few columns.
Therefore two matrix products give the distances and determinants of all classes of all tasks.

References:
    Friedman, Regularized Discriminant Analysis, 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.mapping.whitening import LowRankWhitening, Whitening, ridge_of


@dataclass(frozen=True, eq=False)
class TaskMoments:
    """Class means and covariance of one task, as sent by its teacher.

    Attributes:
        means: (C, D) float64 class means.
        roots: (R, D) float64; the low-rank part of the covariance is roots^T roots.
        residual: (D,) float64, remaining diagonal of the covariance.
    """

    means: np.ndarray
    roots: np.ndarray
    residual: np.ndarray


@dataclass(frozen=True, eq=False)
class _Task:
    """One task in whitened space; its covariance is base I + U diag(g l) U^T."""

    means: slice  # columns in the matrix of all means
    basis: slice  # columns in the matrix of all U
    centres: torch.Tensor  # (C, R) means along U
    shrink: torch.Tensor  # (R,) reduction of squared deviations along U
    base: float
    log_determinant: float


class Discriminant:
    """Gaussian scores for all classes of all tasks.

    In whitened space, the residual part of a task's own covariance is approximated by a multiple
    of the identity with the same trace. This keeps U small.

    Args:
        whiten: whitening for the tied covariance, which is the mean over all tasks.
        tasks: moments of the tasks, in canonical order.
        own_share: weight of a task's own covariance, g.
    """

    def __init__(self, whiten: Whitening, tasks: Sequence[TaskMoments], own_share: float) -> None:
        self._whiten = whiten
        self._means = whiten.apply(torch.from_numpy(np.concatenate([t.means for t in tasks])))
        dim = self._means.shape[1]
        self._lengths = (self._means * self._means).sum(1)  # (all C,)
        bases: list[torch.Tensor] = []
        self._tasks: list[_Task] = []
        c = r = 0
        for task in tasks:
            basis, values = self._own_directions(torch.from_numpy(task.roots))
            isotropic = float(whiten.precisions @ torch.from_numpy(task.residual)) / dim
            base = (1 - own_share) + own_share * isotropic
            means = slice(c, c + len(task.means))
            self._tasks.append(
                _Task(
                    means,
                    slice(r, r + len(values)),
                    self._means[means] @ basis,
                    1 - base / (base + own_share * values),
                    base,
                    dim * float(np.log(base)) + float(torch.log1p(own_share * values / base).sum()),
                )
            )
            bases.append(basis)
            c, r = means.stop, r + len(values)
        self._basis = torch.cat(bases, dim=1)  # (D, all R)

    def _own_directions(self, roots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (D, R) orthonormal directions and (R,) variances of the whitened covariance."""
        rows = self._whiten.apply(roots)  # (R, D)
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        kept = values > 1e-8
        values, vectors = values[kept], vectors[:, kept]
        return (rows.T @ vectors) / values.sqrt(), values

    def scores(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the (N, C_t) class log densities for each task t, in nats.

        A constant common to all classes of all tasks is omitted.

        Args:
            x: (N, D) float64 latents.
        """
        z = self._whiten.apply(x)  # (N, D)
        distances = self._lengths - 2 * (z @ self._means.T) + (z * z).sum(1, keepdim=True)
        along = z @ self._basis  # (N, all R)
        return [self._task_scores(distances, along, task) for task in self._tasks]

    @staticmethod
    def _task_scores(distances: torch.Tensor, along: torch.Tensor, task: _Task) -> torch.Tensor:
        image, centres, shrink = along[:, task.basis], task.centres, task.shrink
        saved = ((image * image) @ shrink)[:, None] + (centres * centres) @ shrink
        saved = saved - 2 * (image * shrink) @ centres.T  # (N, C)
        squared = (distances[:, task.means] - saved) / task.base
        return -0.5 * (squared + task.log_determinant)


def whitening_of_one(task: TaskMoments) -> LowRankWhitening:
    """Return the whitening for the covariance of a single task, without a (D, D) matrix."""
    trace = float((task.roots**2).sum() + task.residual.sum())
    return LowRankWhitening(task.roots, task.residual + ridge_of(trace, len(task.residual)))
