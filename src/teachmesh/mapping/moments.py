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

from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import TaskDensity
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.mapper import TaskMapper, nearest_mean_familiarity
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_scan import DensityBlocks
from teachmesh.mapping.typicality import HeldOut

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
KEPT_POINTS = 1024
"""Number of points up to which they are kept for the next call with the same latents."""


class TaskScorer:
    """Decisions of one skill of class moments.

    Args:
        anchor: moments of the task.
        density: density of the task.
        metric: metric of the backbone.
    """

    def __init__(self, anchor: MomentsAnchor, density: TaskDensity, metric: Metric) -> None:
        self._density = density
        self._metric = metric
        self._means = anchor.class_means()
        self._head = torch.from_numpy(anchor.head_rows())
        self._bias = anchor.head_bias.astype(np.float64)
        self._raw_means: np.ndarray | None = None

    def within(self, z: torch.Tensor) -> np.ndarray:
        """Return (N, C) log posteriors of the classes, given the task."""
        return log_softmax((z @ self._head.T).numpy() + self._bias)

    def distances(self, z: torch.Tensor) -> np.ndarray:
        """Return (N,) squared distances of the latents to the nearest class mean."""
        if self._raw_means is None:
            self._raw_means = self._metric.undo(self._means)
        return -nearest_mean_familiarity(self._metric.undo(z.numpy()), self._raw_means)

    def familiarity(self, z: torch.Tensor, held_out: HeldOut | None) -> np.ndarray:
        """Return (N,) scores that are higher for images that resemble the task.

        The score adds the distance to the nearest class mean, on the scale of held-out images, and
        the evidence compared with the background's.

        Args:
            z: (N, D) points in the metric's space.
            held_out: held-out scores with their scale; None to use the evidence only.
        """
        background = self._metric.background_gaussian.score(z)
        score = ((self._density.evidence(z) - background) / EVIDENCE_UNIT).numpy()
        if held_out is not None and held_out.scale is not None:
            score = score + held_out.scale.standardise(self.distances(z))
        return np.asarray(score)


class MomentsMapper(TaskMapper[MomentsAnchor]):
    """Task mapper that holds the moments of all tasks.

    Args:
        metric: metric of the backbone's latents.
    """

    kind: ClassVar[str] = "moments"
    latent: ClassVar[Literal["last", "multi"]] = "multi"

    def __init__(self, metric: Metric) -> None:
        super().__init__(MomentsAnchor)
        self.metric = metric
        self._densities = DensityBlocks()
        self._leading = DensityBlocks()
        self._last: tuple[np.ndarray, torch.Tensor] | None = None
        self._scorer = lru_cache(maxsize=4 * SMALL_BANK)(self._make_scorer)

    def derive(self, anchor: TaskAnchor) -> tuple[TaskDensity, TaskDensity]:
        """Compute the density of a task, and its density in the leading coordinates."""
        if not isinstance(anchor, MomentsAnchor) or anchor.dim != self.metric.dim:
            raise ValueError(
                f"expected class moments of latent size {self.metric.dim}, got {anchor.dim}; they "
                "were made with another backbone"
            )
        moments = anchor.moments()
        return TaskDensity.of(moments), TaskDensity.of(moments.leading(*LEADING))

    def _added(self, key: str, derived: Any) -> None:
        density, leading = derived
        self._densities.add(key, density)
        self._leading.add(key, leading)

    def _removed(self, key: str) -> None:
        self._densities.remove(key)
        self._leading.remove(key)
        self._scorer.cache_clear()

    def _make_scorer(self, key: str) -> TaskScorer:
        return TaskScorer(self._anchors[key], self._densities.density(key), self.metric)

    def within(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return (N, C) log posteriors of the classes, given the task.

        Args:
            key: key of the task.
            latents: (N, D) float32 latents.
        """
        return self._scorer(key).within(self._points(latents))

    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return (N,) scores that are higher for images that resemble a task."""
        return self._scorer(key).familiarity(self._points(latents), self._held_out[key])

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
            columns = [self._densities.evidence(key, z) for key in keys]
            return TASK_SHARPNESS * torch.stack(columns, dim=1).numpy(), None
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
