"""`gh-nb`, `gh-lda` and `gh-qda`: the three Gaussian heads of GH-OFL in closed form.

All three send counts, sums and second moments, and use the share of a class among all images as its
prior. A class has the mean m and the covariance S. The score of an image x is
log prior - (x - m) S^-1 (x - m) / 2 - log det S / 2. The covariance S is

- `gh-nb`: diagonal, with variances of at least f times their mean;
- `gh-lda`: (1 - e) P + e s I, where P is the unbiased within-class covariance of all tasks;
- `gh-qda`: (1 - e) S_c + e s I, where S_c is the unbiased covariance of the class.

The factor s is the mean variance. In [1] variances are at least 1e-6, and e is 0.05 (LDA) or 0.1
(QDA). Here f and e are chosen on validation images. The trained heads of [1] are left out.

References:
    [1] Turazza, Picone and Mamei, The Gaussian-Head OFL family: one-shot federated learning from
        client global statistics, ICLR 2026; formulas from the authors' code.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from teachmesh.mapping.discriminant import class_means
from teachmesh_lab.baselines.baseline import Grid, Hyper
from teachmesh_lab.baselines.frozen import (
    NUMBER_BYTES,
    TINY,
    FrozenBaseline,
    IndependentBaseline,
)
from teachmesh_lab.baselines.quadratic_scores import (
    QuadraticScores,
    covariance_arrays,
    covariance_rows,
    form_bytes,
    low_rank_axes,
    triangle,
    unseen_macs,
)
from teachmesh_lab.baselines.shared_covariance import SharedCovariance

_SOURCE = "Turazza et al., ICLR 2026"


class GaussianHead(FrozenBaseline):
    """Class means and counts, which all three heads use."""

    source: ClassVar[str] = _SOURCE

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.means: dict[int, np.ndarray] = {}
        self.counts: dict[int, np.ndarray] = {}

    def _learn(self, index: int, latents: np.ndarray, labels: np.ndarray) -> int:
        self.means[index] = class_means(latents, labels, self.widths[index])
        self.counts[index] = np.bincount(labels, minlength=self.widths[index])
        return self._learn_covariances(index, torch.from_numpy(latents).double(), labels)

    @abstractmethod
    def _learn_covariances(self, index: int, latents: Tensor, labels: np.ndarray) -> int: ...

    def state(self) -> dict[str, np.ndarray]:
        """Return counts, means and covariances, in 4 bytes per number."""
        means = {f"means.{index}": m.astype(np.float32) for index, m in self.means.items()}
        counts = {f"counts.{index}": n.astype(np.int32) for index, n in self.counts.items()}
        return {**means, **counts, **self._covariances()}

    @abstractmethod
    def _covariances(self) -> dict[str, np.ndarray]: ...

    def task_bytes(self, index: int) -> int:
        """Return the number of bytes of the task's counts, means and covariances."""
        own = NUMBER_BYTES * self.widths[index] * (self.dim + 1)
        return own + self._covariance_bytes(index)

    @abstractmethod
    def _covariance_bytes(self, index: int) -> int: ...


@final
class NaiveBayesHead(GaussianHead, IndependentBaseline):
    """Diagonal Gaussians. `floor` is f."""

    grid: ClassVar[Grid] = {"floor": (0.001, 0.01, 0.1, 1.0)}
    late: ClassVar[frozenset[str]] = frozenset({"floor"})

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.variances: dict[int, np.ndarray] = {}

    def _learn_covariances(self, index: int, latents: Tensor, labels: np.ndarray) -> int:
        squares = class_means(latents.square().numpy(), labels, self.widths[index])
        self.variances[index] = np.maximum(squares - self.means[index] ** 2, 0)
        return 0

    def task_scores(self, latents: np.ndarray, index: int) -> np.ndarray:
        """Return log densities plus log priors, up to the same term for all classes."""
        means, variances = (torch.from_numpy(x[index]) for x in (self.means, self.variances))
        least = self.hyper["floor"] * variances.mean(1, keepdim=True) + TINY
        precisions = 1 / variances.maximum(least)
        linear = precisions * means
        offsets = torch.from_numpy(self.counts[index]).log() + 0.5 * precisions.log().sum(1)
        offsets -= 0.5 * (linear * means).sum(1)
        x = torch.from_numpy(latents).double()
        return np.asarray((offsets + x @ linear.T - x.square() @ precisions.T / 2).numpy())

    def _covariances(self) -> dict[str, np.ndarray]:
        return {f"variances.{i}": v.astype(np.float32) for i, v in self.variances.items()}

    def _covariance_bytes(self, index: int) -> int:
        return NUMBER_BYTES * self.widths[index] * self.dim


@final
class LdaHead(GaussianHead):
    """One covariance for all classes. `shrinkage` is e."""

    grid: ClassVar[Grid] = {"shrinkage": (1e-6, 1e-5, 0.0001, 0.001, 0.01, 0.1, 0.5)}

    late: ClassVar[frozenset[str]] = frozenset({"shrinkage"})

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64)
        self._classifier: SharedCovariance | None = None
        self._priors = torch.zeros(0, dtype=torch.float64)

    def _learn_covariances(self, index: int, latents: Tensor, labels: np.ndarray) -> int:
        residuals = latents - torch.from_numpy(self.means[index])[torch.from_numpy(labels)]
        self.scatter += residuals.T @ residuals
        return 0

    def consolidate(self) -> int:
        """Factorise the covariance and solve for every class."""
        means, counts = (
            torch.from_numpy(np.concatenate([found[index] for index in self.order]))
            for found in (self.means, self.counts)
        )
        covariance = self.scatter / max(int(counts.sum()) - len(counts), 1)
        self._classifier = SharedCovariance.of(means, covariance, self.hyper["shrinkage"])
        self._priors = counts.log()
        return self._classifier.macs

    def scores(self, latents: np.ndarray) -> np.ndarray:
        """Return log densities plus log priors, up to the same term for all classes."""
        assert self._classifier is not None
        return self._classifier.scores(latents, self._priors)

    def _covariances(self) -> dict[str, np.ndarray]:
        return {"scatter": triangle(self.scatter)}

    def _covariance_bytes(self, index: int) -> int:  # noqa: ARG002 - the same for every task
        return NUMBER_BYTES * self.dim * (self.dim + 1) // 2


@final
class QdaHead(GaussianHead, IndependentBaseline):
    """One covariance per class. `shrinkage` is e."""

    grid: ClassVar[Grid] = {"shrinkage": (0.1, 0.3, 0.5, 0.7, 0.9)}

    def __init__(self, dim: int, hyper: Hyper, seed: int) -> None:
        super().__init__(dim, hyper, seed)
        self.rows: dict[int, list[Tensor]] = {}
        self._tasks: dict[int, QuadraticScores] = {}

    def _learn_covariances(self, index: int, latents: Tensor, labels: np.ndarray) -> int:
        self.rows[index] = covariance_rows(latents, labels, self.widths[index])
        means = torch.from_numpy(self.means[index])
        priors = torch.from_numpy(self.counts[index]).log()
        classes = zip(means, priors, self.rows[index], strict=True)
        self._tasks[index] = QuadraticScores.join([self._score(*found) for found in classes])
        return sum(unseen_macs(rows) for rows in self.rows[index])

    def _score(self, mean: Tensor, prior: Tensor, rows: Tensor) -> QuadraticScores:
        shrinkage = self.hyper["shrinkage"]
        base = shrinkage * float(rows.square().sum()) / self.dim + TINY
        axes, log_det = low_rank_axes(rows * ((1 - shrinkage) / base) ** 0.5)
        axes = axes * base**-0.5
        constant = prior - 0.5 * (log_det + self.dim * np.log(base) + mean @ mean / base)
        return QuadraticScores(
            offsets=constant.reshape(1),
            linear=mean.reshape(1, -1) / base,
            squares=torch.full((1, self.dim), 1 / base, dtype=torch.float64),
            axes=axes.float(),
            shifts=(axes * mean).sum(1),
            weights=torch.ones(len(axes), dtype=torch.float64),
            counts=torch.tensor([len(axes)]),
        )

    def task_scores(self, latents: np.ndarray, index: int) -> np.ndarray:
        """Return log densities plus log priors, up to the same term for all classes."""
        return self._tasks[index](torch.from_numpy(latents).double())

    def _covariances(self) -> dict[str, np.ndarray]:
        return covariance_arrays(self.rows)

    def _covariance_bytes(self, index: int) -> int:
        return sum(form_bytes(len(rows), self.dim) for rows in self.rows[index])
