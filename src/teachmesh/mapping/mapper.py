"""The task mapper, which combines all anchors of an agent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch

from teachmesh.mapping.anchor import TaskAnchor, check_latents
from teachmesh.mapping.typicality import typicality

AnchorT = TypeVar("AnchorT", bound=TaskAnchor)


@dataclass(frozen=True, eq=False)
class MapperScores:
    """Scores of N images for T tasks.

    Attributes:
        keys: keys of the T tasks in canonical (sorted) order.
        task: (N, T) float64 log scores, comparable across tasks; higher means more probable.
        classes: T arrays of class scores, (N, C_t) float64 each, comparable across all tasks; None
            if the mapper scores tasks only.
        typicality: (N, T) float64. An entry is 1 if the image is as typical as the task's median
            validation image. It is negative if the image is less typical than nearly all of these.
            It is 0 if the task has no calibration. None if no task has a calibration.
    """

    keys: tuple[str, ...]
    task: np.ndarray
    classes: tuple[np.ndarray, ...] | None = None
    typicality: np.ndarray | None = None


class TaskMapper(ABC, Generic[AnchorT]):
    """Anchors by key, used to score latents per task, and per class if possible.

    Invariant: equal sets of (key, anchor) give bit-identical scores, regardless of the order of
    `add` and `remove` and of how often an anchor is added.
    """

    kind: ClassVar[str]
    latent: ClassVar[Literal["last", "multi"]]

    def __init__(self, anchor_type: type[AnchorT]) -> None:
        self._anchor_type = anchor_type
        self._anchors: dict[str, AnchorT] = {}
        self._calibrations: dict[str, Mapping[str, float]] = {}

    def add(
        self, key: str, anchor: TaskAnchor, calibration: Mapping[str, float] | None = None
    ) -> None:
        """Register an anchor; do nothing if the key is registered already.

        Args:
            key: name of the anchor; a key must always refer to the same anchor.
            anchor: summary of the task.
            calibration: result of `typicality.calibrate` for this task.

        Raises:
            ValueError: the anchor has the wrong kind or latent size.
        """
        if not isinstance(anchor, self._anchor_type):
            raise ValueError(  # noqa: TRY004 - a foreign anchor is refused like any other bad value
                f"expected a {self._anchor_type.kind} anchor, got a {anchor.kind} one; use the "
                f"{anchor.kind} mapper"
            )
        other = next(iter(self._anchors.values()), anchor)
        if other.dim != anchor.dim:
            raise ValueError(
                f"expected an anchor of latent size {other.dim}, got {anchor.dim}; it was made "
                "with another backbone"
            )
        if key not in self._anchors:
            self._anchors[key] = anchor
            self._calibrations[key] = dict(calibration or {})
            self._added(anchor)

    def remove(self, key: str) -> None:
        """Remove an anchor; do nothing if the key is unknown."""
        anchor = self._anchors.pop(key, None)
        if anchor is not None:
            del self._calibrations[key]
            self._removed(anchor)

    def keys(self) -> tuple[str, ...]:
        """Return the registered keys in canonical (sorted) order."""
        return tuple(sorted(self._anchors))

    def score(self, latents: np.ndarray) -> MapperScores:
        """Score latents for all tasks.

        Args:
            latents: (N, D) float32 latents of the kind given by the attribute `latent`.

        Raises:
            ValueError: the mapper has no anchor, D is wrong, or latents are not finite.
        """
        keys = self.keys()
        if not keys:
            raise ValueError("expected at least one task anchor, got none; add one first")
        check_latents(latents, self._anchors[keys[0]].dim)
        x = latents.astype(np.float64)
        task, classes = self._score(torch.from_numpy(x))
        return MapperScores(keys, task, classes, self._typicality(x))

    def prepare(self) -> None:
        """Compute in advance what `score` needs after anchors were added or removed."""

    def _in_order(self) -> list[AnchorT]:
        """Return the anchors in canonical order."""
        return [self._anchors[key] for key in self.keys()]

    def _typicality(self, latents: np.ndarray) -> np.ndarray | None:
        if not any(self._calibrations.values()):
            return None
        columns = [
            typicality(self._anchors[key], latents, self._calibrations[key]) for key in self.keys()
        ]
        return np.stack(columns, axis=1)

    @abstractmethod
    def _added(self, anchor: AnchorT) -> None:
        """Update derived values after adding an anchor."""

    @abstractmethod
    def _removed(self, anchor: AnchorT) -> None:
        """Update derived values after removing an anchor."""

    @abstractmethod
    def _score(self, x: torch.Tensor) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Return task scores (N, T) and class scores for latents (N, D), in canonical order."""
