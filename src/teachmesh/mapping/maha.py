"""Mahalanobis task mapper: class means and one tied covariance (paper, Sec. 5 and Eq. 5).

The teacher computes class means over all training images and draws m = 5 images per class. It sends
the *latents* of these samples. The paper sends the images, but the student's identical backbone
would compute the same latents from them (see docs/decisions/0001). The student computes the tied
covariance from the samples of all tasks, and assigns an image to the task of the nearest class.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch

from teachmesh.mapping.anchor import check_labels, check_latents
from teachmesh.mapping.anchor_kinds import MahaAnchor
from teachmesh.mapping.discriminant import class_means
from teachmesh.mapping.mapper import TaskMapper, nearest_mean_familiarity

SAMPLES_PER_CLASS = 5
"""Number of samples per class: m in the paper's Mahalanobis section."""
RIDGE = 0.1
"""Ridge added to the diagonal of the covariance, as a fraction of the diagonal's mean.

Without it, a covariance from fewer samples than dimensions is not invertible. The paper does not
mention a ridge. The rule by which it was chosen, and the results, are in
docs/results/experiments.md."""
LONGEST_RESIDUAL = 4.0
"""Maximum length of a sample's residual, relative to the median; longer ones are shortened.

This prevents a skill from distorting the tied covariance. Honest samples stay below 2."""


def fit_maha(
    latents: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    samples_per_class: int = SAMPLES_PER_CLASS,
    seed: int = 0,
) -> MahaAnchor:
    """Compute class means of all training latents, and draw a few samples per class.

    Args:
        latents: (N, D) float32 latents, as in the paper.
        labels: (N,) int64 class of each image; every class occurs.
        n_classes: number of classes, C.
        samples_per_class: number of samples per class, m; fewer if a class has fewer images.
        seed: seed for drawing the samples.

    Raises:
        ValueError: a class has no image.
    """
    check_latents(latents)
    check_labels(labels, len(latents), n_classes)
    random = np.random.default_rng(seed)
    rows: list[np.ndarray] = []
    for label in range(n_classes):
        members = np.flatnonzero(labels == label)
        count = min(samples_per_class, len(members))
        rows.append(np.sort(random.choice(members, count, replace=False)))
    chosen = np.concatenate(rows)
    return MahaAnchor(
        class_means(latents, labels, n_classes).astype(np.float32),
        np.ascontiguousarray(latents[chosen], dtype=np.float32),
        labels[chosen].astype(np.uint16),
    )


def tied_covariance(anchors: list[MahaAnchor], ridge: float = RIDGE) -> np.ndarray:
    """Return the (D, D) float64 covariance of all samples about their class means, plus a ridge.

    This is the paper's sum over all samples of all tasks, except that very long residuals are
    shortened (`LONGEST_RESIDUAL`).

    Args:
        anchors: anchors in canonical order, at least one.
        ridge: number added to the diagonal, as a fraction of the diagonal's mean.
    """
    residuals = [torch.from_numpy(anchor.residuals()) for anchor in anchors]
    lengths = [rows.norm(dim=1) for rows in residuals]
    usual = torch.stack([values.median() for values in lengths])  # (T,)
    # Tasks with one image per class have zero residuals and are left out.
    usual = usual[usual > 0]
    limit = LONGEST_RESIDUAL * float(usual.median()) if len(usual) else 0.0
    scatter = torch.zeros(anchors[0].dim, anchors[0].dim, dtype=torch.float64)
    for rows, values in zip(residuals, lengths, strict=True):
        pulled = rows * (limit / values.clamp(min=1e-300)).clamp(max=1.0)[:, None]
        scatter.addmm_(pulled.T, pulled)
    covariance = scatter / sum(len(rows) for rows in residuals)
    mean = float(covariance.diagonal().mean())
    covariance.diagonal().add_(ridge * mean + 1e-9)
    return np.asarray(covariance.numpy())


class MahaMapper(TaskMapper[MahaAnchor]):
    """Task mapper that uses the class means of all tasks and the tied covariance of all samples.

    Args:
        ridge: ridge of the covariance; all agents that share skills need the same.
    """

    kind: ClassVar[str] = "maha"
    latent: ClassVar[Literal["last", "multi"]] = "last"

    def __init__(self, ridge: float = RIDGE) -> None:
        super().__init__(MahaAnchor)
        self.ridge = ridge
        self._linear: tuple[torch.Tensor, torch.Tensor] | None = None

    def _added(self, key: str, derived: object) -> None:  # noqa: ARG002 - computed again
        self._linear = None

    def _removed(self, key: str) -> None:  # noqa: ARG002
        self._linear = None

    def covariance(self) -> np.ndarray:
        """Return the (D, D) float64 tied covariance of all tasks.

        Raises:
            ValueError: the mapper has no anchor.
        """
        if not self._registered:
            raise ValueError("expected at least one task anchor, got none; add one first")
        return tied_covariance(self._in_order(), self.ridge)

    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return each image's negated squared Euclidean distance to the nearest class mean."""
        return nearest_mean_familiarity(latents, self.anchor(key).means)

    def _score(self, latents: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Score classes by Eq. 5 in linear form, and tasks by their nearest class.

        Let P be the inverse covariance. Then -(x - mu)^T P (x - mu) / 2 equals
        x^T P mu - mu^T P mu / 2 - x^T P x / 2. The last term is equal for all classes and is
        omitted. Therefore one matrix product is enough for all classes.
        """
        weights, offsets = self.linear()
        x = torch.from_numpy(latents.astype(np.float64))
        sizes = [anchor.n_classes for anchor in self._in_order()]
        parts = torch.split(x @ weights - offsets, sizes, dim=1)
        task = torch.stack([part.amax(dim=1) for part in parts], dim=1)
        return task.numpy(), tuple(part.contiguous().numpy() for part in parts)

    def linear(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return P mu, (D, all C), and mu^T P mu / 2, (all C,), in float64; see `_score`."""
        if self._linear is None:
            rows = np.concatenate([anchor.means for anchor in self._in_order()])
            means = torch.from_numpy(rows.astype(np.float64))
            factor = torch.linalg.cholesky(torch.from_numpy(self.covariance()))
            projected = torch.cholesky_solve(means.T, factor)  # (D, all C)
            self._linear = projected, 0.5 * (means.T * projected).sum(0)
        return self._linear
