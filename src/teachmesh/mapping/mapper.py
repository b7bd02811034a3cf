"""The task mapper: all anchors of an agent, consolidated."""

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
    """Scores of N images under T tasks.

    Attributes:
        keys: T keys in canonical (sorted) order.
        task: (N, T) float64 natural-log scores, comparable across tasks; higher is more probable.
        classes: T arrays (N, C_t) float64, comparable across all classes of all tasks; None
            if the mapper scores tasks only.
        typicality: (N, T) float64, 1 for an image as typical as the median of the task's validation
            images, negative for one less typical than nearly all of them. 0 for a task without
            calibration; None if no task has one.
    """

    keys: tuple[str, ...]
    task: np.ndarray
    classes: tuple[np.ndarray, ...] | None = None
    typicality: np.ndarray | None = None


class TaskMapper(ABC, Generic[AnchorT]):
    """Anchors by key: latents -> score per task, and per class if possible.

    Law: equal sets of (key, anchor) give bit-identical scores, whatever the order of `add` and
    `remove` and however often an anchor is added.
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
        """Register an anchor; a registered key changes nothing.

        Args:
            key: name of the anchor; a key always belongs to one anchor.
            anchor: summary of the task.
            calibration: result of `typicality.calibrate` for this task.

        Raises:
            ValueError: an anchor of another kind or latent size.
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
        """Remove an anchor; an unknown key changes nothing."""
        anchor = self._anchors.pop(key, None)
        if anchor is not None:
            del self._calibrations[key]
            self._removed(anchor)

    def keys(self) -> tuple[str, ...]:
        """Return the registered keys in canonical (sorted) order."""
        return tuple(sorted(self._anchors))

    def score(self, latents: np.ndarray) -> MapperScores:
        """Score latents under all tasks.

        Args:
            latents: (N, D) float32, of the kind named by `latent`.

        Raises:
            ValueError: no anchor, a different D, or numbers that are not finite.
        """
        keys = self.keys()
        if not keys:
            raise ValueError("expected at least one task anchor, got none; add one first")
        check_latents(latents, self._anchors[keys[0]].dim)
        x = latents.astype(np.float64)
        task, classes = self._score(torch.from_numpy(x))
        return MapperScores(keys, task, classes, self._typicality(x))

    def prepare(self) -> None:
        """Precompute values that the first `score` after a change needs."""

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
        """Update derived values after an anchor was registered."""

    @abstractmethod
    def _removed(self, anchor: AnchorT) -> None:
        """Update derived values after an anchor was removed."""

    @abstractmethod
    def _score(self, x: torch.Tensor) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Return task scores (N, T) and class scores of latents (N, D), in canonical order."""
