"""Class moments: a closed-form summary of a task in a few kilobytes (the default method).

The teacher sends three summaries of its multi-depth latents, all in the space of the backbone's
fixed metric:

- class means (int8);
- the within-class covariance, as a few directions (int8) and one remaining variance;
- a linear head (int8).

The student computes the evidence of each task: the log density of its best class, by regularised
discriminant analysis. Log-determinants are included, so that a task with a wide covariance does not
attract the images of other tasks. The evidence chooses the task, then the head chooses the class.
Learning needs one backbone pass and no gradient steps, and no images are sent.

Both decisions are functions of the skill and the metric. No skill changes those of another skill.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.mapper import AnchorSource, TaskMapper, nearest_mean_familiarity
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_scan import ArrayStore, DensityBlocks, StoreOf, saved_arrays
from teachmesh.mapping.typicality import HeldOut, Scale

TASK_SHARPNESS = 0.03
"""Factor applied to evidence, because the dimensions of latents are not independent.

Chosen on the validation images of 36 real tasks, for three networks, few and many images, and 4, 10
and 36 tasks in the bank. With this factor, the posteriors of tasks are calibrated."""
EVIDENCE_UNIT = 160.0
"""Evidence, in nats, that counts as much as one standardised unit of distance in familiarity."""
SMALL_BANK = 64
"""Number of tasks up to which the evidence of every task is computed.

In a larger bank, tasks compete in two rounds. The first round compares their evidence in the
leading coordinates, and only the best tasks enter the second round."""
SHORTLIST = 16
"""Number of tasks in the second round."""
LEADING = (256, 8)
"""Number of coordinates, and of directions of a task's covariance, in the first round.

The coordinates of latents are sorted by the variance of reference images."""
KEPT_POINTS = 4096
"""Number of points up to which they are kept for the next call with the same latents.

A grid asks every task about all test images in one batch. Points of 1,024 numbers need 32 MB.
"""


class TaskScorer:
    """Decisions of one skill of class moments.

    Args:
        anchor: moments of the task.
        held_out: held-out scores of the task, or None.
        density: density of the task.
        metric: metric of the backbone.

    Attributes:
        held_out: held-out scores of the task, or None.
    """

    def __init__(
        self, anchor: MomentsAnchor, held_out: HeldOut | None, density: TaskDensity, metric: Metric
    ) -> None:
        self.held_out = held_out
        self._density = density
        self._metric = metric
        self._means = anchor.class_means()
        self._head = torch.tensor(anchor.head_rows())  # a copy, see `TaskDensity.of`
        self._bias = anchor.head_bias.astype(np.float64)
        self._raw_means: np.ndarray | None = None

    def within(self, z: torch.Tensor) -> np.ndarray:
        """Return (N, C) log posteriors of the classes, given the task."""
        return log_softmax((z @ self._head.T).numpy() + self._bias)

    def distances(self, latents: np.ndarray) -> np.ndarray:
        """Return (N,) squared distances of (N, D) latents to the nearest class mean."""
        if self._raw_means is None:
            self._raw_means = self._metric.undo(self._means)
        centred = self._metric.centred(torch.from_numpy(latents))
        return -nearest_mean_familiarity(centred.numpy(), self._raw_means)

    def familiarity(
        self, latents: np.ndarray, z: torch.Tensor, evidence: torch.Tensor | None = None
    ) -> np.ndarray:
        """Return (N,) scores that are higher for images that resemble the task.

        The score adds the distance to the nearest class mean, on the scale of held-out images, and
        the evidence compared with the background's.

        Args:
            latents: (N, D) float32 latents.
            z: (N, D) points of the latents in the metric's space.
            evidence: (N,) evidence of the task at these points, if it is known.
        """
        scale = None if self.held_out is None else self.held_out.scale
        nearness = 0.0 if scale is None else scale.standardise(self.distances(latents))
        if evidence is None:
            evidence = self._density.evidence(z)
        return resemblance(evidence, nearness, z, self._metric)


def resemblance(
    evidence: torch.Tensor, nearness: np.ndarray | float, z: torch.Tensor, metric: Metric
) -> np.ndarray:
    """Return how much images resemble a task, (N,) float64.

    Args:
        evidence: (N,) evidence of the task, in nats.
        nearness: (N,) standardised distances to the nearest class mean, see `Scale.standardise`; 0
            if the task has no scale.
        z: (N, D) float64 points in the metric's space.
        metric: metric with the background.
    """
    against = (evidence - metric.background_gaussian.score(z)) / EVIDENCE_UNIT
    return np.asarray(nearness + against.numpy())


def held_out_of(
    evidence: torch.Tensor,
    distances: np.ndarray,
    counted: np.ndarray,
    z: torch.Tensor,
    metric: Metric,
) -> HeldOut:
    """Return the scores of images that were held out in a cross-validation, with their scale.

    Args:
        evidence: (N,) evidence under moments without the image, in nats.
        distances: (N,) squared distances of latents to the nearest class mean without the image.
        counted: (N,) bool, False for images of classes that have no other image.
        z: (N, D) float64 points in the metric's space.
        metric: metric with the background.
    """
    scale = Scale.of(distances[counted])
    scores = resemblance(evidence, scale.standardise(distances), z, metric)
    return HeldOut.of(scores[counted], scale)


class MomentsMapper(TaskMapper[MomentsAnchor]):
    """Task mapper that holds the moments of all tasks.

    Args:
        metric: metric of the backbone's latents.
        source: function that returns an anchor again; None to keep all anchors in memory.
        store_of: function that returns a store for densities; None to save none.
    """

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"

    def __init__(
        self,
        metric: Metric,
        source: AnchorSource[MomentsAnchor] | None = None,
        store_of: StoreOf | None = None,
    ) -> None:
        super().__init__(MomentsAnchor, source)
        self.metric = metric
        stores: list[ArrayStore | None] = [None, None]
        if store_of is not None:
            origin = self._origin()
            stores = [store_of(part, origin) for part in ("densities", "leading")]
        self._densities, self._leading = (DensityBlocks(store) for store in stores)
        self._last: tuple[np.ndarray, torch.Tensor] | None = None
        self._seen: tuple[torch.Tensor, dict[str, torch.Tensor]] | None = None
        self._scorer = lru_cache(maxsize=4 * SMALL_BANK)(self._make_scorer)

    def derive(self, anchor: TaskAnchor) -> tuple[TaskDensity, TaskDensity]:
        """Compute the density of a task, and its density in the leading coordinates."""
        if not isinstance(anchor, MomentsAnchor) or anchor.dim != self.metric.dim:
            raise ValueError(
                f"expected class moments of latent size {self.metric.dim}, got {anchor.dim}; they "
                "were made with another backbone"
            )
        moments = anchor.moments()
        with one_thread():
            return TaskDensity.of(moments), TaskDensity.of(moments.leading(*LEADING))

    def _origin(self) -> str:
        """Return a hash of the saved arrays of one fixed task, 64 hex digits.

        It changes if a formula, a constant, a library or a processor gives other bits, or if other
        arrays are saved.
        """
        probe = hashlib.sha256()
        for density in self.derive(probe_anchor(self.metric.dim)):
            for name, array in saved_arrays(density).items():
                probe.update(name.encode() + array.tobytes())
        return probe.hexdigest()

    def restore(self, wanted: Collection[str]) -> set[str]:
        """Register the wanted tasks whose densities are saved; return their keys.

        Without a source of anchors, nothing is registered.

        Args:
            wanted: keys that are not registered yet.
        """
        if self._source is None:
            return set()
        found, leading = (part.restore(wanted) for part in (self._densities, self._leading))
        for part, more in ((self._densities, found - leading), (self._leading, leading - found)):
            for key in more:
                part.remove(key)
        for key in found & leading:
            self._register(key, self.metric.dim, None)
        return found & leading

    def save(self) -> None:
        """Save densities, so that the next start is faster; small banks save none."""
        if len(self._registered) > SMALL_BANK:
            self._densities.save()
            self._leading.save()

    def _added(self, key: str, derived: Any) -> None:
        density, leading = derived
        self._densities.add(key, density)
        self._leading.add(key, leading)

    def _removed(self, key: str) -> None:
        self._densities.remove(key)
        self._leading.remove(key)
        self._scorer.cache_clear()

    def _make_scorer(self, key: str) -> TaskScorer:
        return TaskScorer(*self._of(key), self._densities.density(key), self.metric)

    def held_out(self, key: str) -> HeldOut | None:
        """Return the scores of held-out images of a task."""
        return self._scorer(key).held_out

    def within(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return (N, C) log posteriors of the classes, given the task.

        Args:
            key: key of the task.
            latents: (N, D) float32 latents.
        """
        return self._scorer(key).within(self._points(latents))

    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return (N,) scores that are higher for images that resemble a task."""
        z = self._points(latents)
        points, known = self._seen or (None, {})
        return self._scorer(key).familiarity(latents, z, known.get(key) if points is z else None)

    def nearest(self, points: np.ndarray, count: int) -> set[str]:
        """Return the keys of the tasks with the most evidence at some points.

        Args:
            points: (N, D) float64 points in the metric's space.
            count: number of tasks per point; in a small bank, all tasks are returned.
        """
        if len(self.keys()) <= SMALL_BANK:
            return set(self.keys())
        leading = torch.tensor(points[:, : LEADING[0]])
        return {key for found in self._leading.best(leading, count) for key in found}

    def _points(self, latents: np.ndarray) -> torch.Tensor:
        """Return (N, D) points of latents; those of the last call are kept for the next one."""
        last = self._last
        if last is not None and np.array_equal(last[0], latents):
            return last[1]
        points = torch.from_numpy(self.metric.apply(latents))
        self._last = (latents.copy(), points) if len(latents) <= KEPT_POINTS else None
        return points

    def _score(self, latents: np.ndarray) -> tuple[np.ndarray, None]:
        z = self._points(latents)
        keys = self.keys()
        if len(keys) <= SMALL_BANK:
            columns = {key: self._densities.evidence(key, z) for key in keys}
            # The best tasks need theirs again. Many points would take too much memory.
            self._seen = (z, columns) if len(z) <= KEPT_POINTS else None
            return TASK_SHARPNESS * torch.stack([*columns.values()], dim=1).numpy(), None
        found = np.full((len(z), len(keys)), -np.inf)
        column = {key: t for t, key in enumerate(keys)}
        shortlists = self._leading.best(z[:, : LEADING[0]].contiguous(), SHORTLIST)
        squares = (z * z).sum(1).tolist()
        for i, (point, shortlist) in enumerate(zip(z.float(), shortlists, strict=True)):
            for key in shortlist:
                density = self._densities.density(key)
                evidence = density.evidence_in_float32(point, squares[i])
                found[i, column[key]] = TASK_SHARPNESS * evidence
        return found, None


@contextmanager
def one_thread() -> Iterator[None]:
    """Multiply small matrices with one thread, which is faster and gives the same bits anywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def probe_anchor(dim: int, n_classes: int = 16, n_axes: int = 32) -> MomentsAnchor:
    """Return the moments of a fixed task, whose densities show how densities are computed.

    Args:
        dim: latent size, D.
        n_classes: number of classes.
        n_axes: number of directions of the covariance.
    """
    levels = ((np.arange((n_classes + n_axes) * dim) * 7919) % 255 - 127).astype(np.int8)
    means, directions = np.split(levels.reshape(-1, dim), [n_classes])
    scales = np.full(n_classes, 0.01, dtype=np.float32)
    return MomentsAnchor(
        means,
        scales,
        directions,
        np.linspace(84, 10, n_axes, dtype=np.float32),
        np.array([0.8], dtype=np.float32),
        np.array([100], dtype=np.uint32),
        means,
        scales,
        np.zeros(n_classes, dtype=np.float32),
    )
