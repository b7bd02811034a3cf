"""Task mappers as torch networks, for export: the scores of all tasks from the latents of images.

The networks compute in float64 and with the formulas of the mappers, so that an exported file gives
an agent's answers. Rows of tasks of different size are padded, because a graph has no lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from teachmesh.errors import UsageError
from teachmesh.mapping.gmm_fit import with_squares
from teachmesh.mapping.gmmc import GmmcMapper
from teachmesh.mapping.maha import MahaMapper
from teachmesh.mapping.moments import (
    EVIDENCE_UNIT,
    LEADING,
    SHORTLIST,
    SMALL_BANK,
    TASK_SHARPNESS,
    MomentsMapper,
)

if TYPE_CHECKING:
    from teachmesh.mapping.discriminant import TaskDensity
    from teachmesh.mapping.mapper import TaskMapper
    from teachmesh.mapping.metric import Metric

MISSING = -1e30
"""Score of padding and of tasks that are not on the shortlist; a finite number, so that no product
is NaN."""


class NetworkScores(NamedTuple):
    """Scores of N images for T tasks.

    Attributes:
        task: (N, T) float64 log scores, before normalisation.
        familiarity: (N, T) float64, see `TaskMapper.familiarity`.
        read: (N, D) float64 latents that the classes of the tasks are decided with.
    """

    task: torch.Tensor
    familiarity: torch.Tensor
    read: torch.Tensor


class ByTask(nn.Module):
    """Arrange scores of the classes of all tasks, (N, sum of C_t), as (N, T, largest C_t).

    Args:
        counts: number of classes of each task, C_t.
    """

    places: torch.Tensor
    missing: torch.Tensor

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__()
        places = np.zeros((len(counts), max(counts)), dtype=np.int64)
        missing = np.full(places.shape, MISSING)
        start = 0
        for task, count in enumerate(counts):
            places[task, :count] = np.arange(start, start + count)
            missing[task, :count] = 0
            start += count
        self.register_buffer("places", torch.from_numpy(places.reshape(-1)))
        self.register_buffer("missing", torch.from_numpy(missing))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the padded scores; padding is `MISSING`."""
        padded = scores[:, self.places].reshape(-1, *self.missing.shape)
        return padded + self.missing


class Nearest(nn.Module):
    """Squared distances of images to the nearest class mean of each task.

    Args:
        means: (C_t, D) means of each task.
    """

    means: torch.Tensor

    def __init__(self, means: Sequence[np.ndarray]) -> None:
        super().__init__()
        rows = np.concatenate(means).astype(np.float32)
        self.register_buffer("means", torch.from_numpy(rows))
        self.by_task = ByTask([len(m) for m in means])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, T) distances of (N, D) float64 points."""
        means = self.means.double()
        nearness = 2 * x @ means.T - (means * means).sum(1) - (x * x).sum(1, keepdim=True)
        nearest: torch.Tensor = self.by_task(nearness).amax(2)
        return (-nearest).clamp(min=0.0)


class Densities(nn.Module):
    """Log densities of the best class of each task, see `TaskDensity`.

    Args:
        densities: density of each task.
    """

    rows: torch.Tensor
    offsets: torch.Tensor
    axes: torch.Tensor
    owners: torch.Tensor
    precisions: torch.Tensor

    def __init__(self, densities: Sequence[TaskDensity]) -> None:
        super().__init__()
        arrays = {
            "rows": np.concatenate([d.rows for d in densities]),
            "offsets": np.concatenate([d.offsets for d in densities]),
            "axes": np.concatenate([d.axes for d in densities]),
            "owners": _owners([len(d.axes) for d in densities]),
            "precisions": np.array([d.precision for d in densities]),
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array))
        self.by_task = ByTask([len(d.offsets) for d in densities])

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the (N, T) evidence at (N, D) float64 points, in nats."""
        linear: torch.Tensor = self.by_task(z @ self.rows.double().T + self.offsets).amax(2)
        along = z @ self.axes.double().T
        squares = (z * z).sum(1, keepdim=True)
        return linear + (along * along) @ self.owners - 0.5 * self.precisions * squares


class MomentsNetwork(nn.Module):
    """The mapper `moments`: evidence of all tasks, with the shortlist of a large bank.

    Args:
        mapper: mapper with at least one task.
    """

    has_scale: torch.Tensor
    median: torch.Tensor
    spread: torch.Tensor

    def __init__(self, mapper: MomentsMapper) -> None:
        super().__init__()
        keys = mapper.keys()
        self.metric: Metric = mapper.metric
        anchors = [mapper.anchor(key) for key in keys]
        whole, leading = zip(*map(mapper.derive, anchors), strict=True)
        self.densities = Densities(whole)
        self.leading = Densities(leading) if len(keys) > SMALL_BANK else None
        self.nearest = Nearest([self.metric.undo(anchor.class_means()) for anchor in anchors])
        held = [mapper.held_out(key) for key in keys]
        scales = [None if h is None else h.scale for h in held]
        for name, values in (
            ("has_scale", [0.0 if s is None else 1.0 for s in scales]),
            ("median", [0.0 if s is None else s.median for s in scales]),
            ("spread", [1.0 if s is None else s.spread for s in scales]),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))

    def forward(self, last: torch.Tensor, multi: torch.Tensor) -> NetworkScores:  # noqa: ARG002
        """Return the scores of images with these latents, (N, D) float32 each."""
        z = self.metric.points(multi)
        evidence = self.densities(z)
        nearness = (self.median - self.nearest(self.metric.centred(multi))) / self.spread
        against = evidence - self.metric.background_gaussian.score(z)[:, None]
        familiarity = self.has_scale * nearness + against / EVIDENCE_UNIT
        return NetworkScores(TASK_SHARPNESS * self._entering(evidence, z), familiarity, z)

    def _entering(self, evidence: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return the evidence of the tasks on the shortlist, and `MISSING` for the others."""
        if self.leading is None:
            return evidence
        first = self.leading(z[:, : LEADING[0]])
        last = torch.topk(first, SHORTLIST, dim=1).values[:, -1:]
        return torch.where(first >= last, evidence, torch.full_like(evidence, MISSING))


class MahaNetwork(nn.Module):
    """The mapper `maha`: the nearest class of each task under the tied covariance.

    Args:
        mapper: mapper with at least one task.
    """

    weights: torch.Tensor
    offsets: torch.Tensor

    def __init__(self, mapper: MahaMapper) -> None:
        super().__init__()
        keys = mapper.keys()
        means = [mapper.anchor(key).means for key in keys]
        weights, offsets = mapper.linear()
        self.register_buffer("weights", weights.clone())
        self.register_buffer("offsets", offsets.clone())
        self.by_task = ByTask([len(m) for m in means])
        self.nearest = Nearest(means)

    def forward(self, last: torch.Tensor, multi: torch.Tensor) -> NetworkScores:  # noqa: ARG002
        """Return the scores of images with these latents, (N, D) float32 each."""
        x = last.double()
        task = self.by_task(x @ self.weights - self.offsets).amax(2)
        return NetworkScores(task, -self.nearest(x), x)


class GmmcNetwork(nn.Module):
    """The mapper `gmmc`: the best cluster of each task.

    Args:
        mapper: mapper with at least one task.
    """

    def __init__(self, mapper: GmmcMapper) -> None:
        super().__init__()
        self.clusters = mapper.clusters()
        keys = mapper.keys()
        self.by_task = ByTask([len(mapper.anchor(key).weights) for key in keys])

    def forward(self, last: torch.Tensor, multi: torch.Tensor) -> NetworkScores:  # noqa: ARG002
        """Return the scores of images with these latents, (N, D) float32 each."""
        x = last.double()
        task = self.by_task(self.clusters.log_joint(with_squares(x))).amax(2)
        return NetworkScores(task, task, x)


def mapper_network(mapper: TaskMapper[object]) -> nn.Module:  # type: ignore[type-var]
    """Return the network of a task mapper; it takes the latents `last` and `multi`.

    Raises:
        UsageError: the mapper is one of another package.
    """
    if isinstance(mapper, MomentsMapper):
        return MomentsNetwork(mapper)
    if isinstance(mapper, MahaMapper):
        return MahaNetwork(mapper)
    if isinstance(mapper, GmmcMapper):
        return GmmcNetwork(mapper)
    raise UsageError(
        f"expected one of the task mappers moments, gmmc and maha, got {mapper.kind!r}, whose code "
        "cannot be written to a file; choose another one with --method"
    )


def _owners(counts: Iterable[int]) -> np.ndarray:
    """Return an (sum of counts, T) array with a one in the column of each row's task."""
    sizes = list(counts)
    return np.repeat(np.eye(len(sizes)), sizes, axis=0)
