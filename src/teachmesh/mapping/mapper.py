"""The task mapper, which combines all anchors of an agent."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch

from teachmesh.mapping.anchor import TaskAnchor, check_latents
from teachmesh.mapping.typicality import HeldOut

AnchorT = TypeVar("AnchorT", bound=TaskAnchor)
Registered = tuple[AnchorT, HeldOut | None]
"""An anchor and the scores of images that were held out when it was fitted."""
AnchorSource = Callable[[str], Registered[AnchorT]]
"""Function that returns the anchor of a key, so that it need not stay in memory."""


@dataclass(frozen=True, eq=False)
class MapperScores:
    """Scores of N images for T tasks.

    Attributes:
        keys: keys of the T tasks in canonical (sorted) order.
        task: (N, T) float64 log scores, comparable across tasks; higher means more probable. In a
            large bank, tasks that are far behind have minus infinity.
        classes: T arrays of class scores, (N, C_t) float64 each, comparable across all tasks; None
            if the mapper scores tasks only.
    """

    keys: tuple[str, ...]
    task: np.ndarray
    classes: tuple[np.ndarray, ...] | None = None


class TaskMapper(ABC, Generic[AnchorT]):
    """Anchors by key, used to score latents per task, and per class if possible.

    Invariant: equal sets of (key, anchor) give bit-identical scores, regardless of the order of
    `add` and `remove` and of how often an anchor is added.

    Args:
        anchor_type: class of the anchors.
        source: function that returns an anchor again; None to keep all anchors in memory.
    """

    kind: ClassVar[str]
    latent: ClassVar[Literal["last", "multi"]]

    def __init__(
        self, anchor_type: type[AnchorT], source: AnchorSource[AnchorT] | None = None
    ) -> None:
        self._anchor_type = anchor_type
        self._source = source
        self._registered: dict[str, Registered[AnchorT] | None] = {}  # None: ask the source
        self._keys: tuple[str, ...] | None = None
        self._dim: int | None = None

    def derive(self, anchor: TaskAnchor) -> Any:
        """Compute the values of one anchor that `add` stores; here, none."""

    def restore(self, wanted: Collection[str]) -> set[str]:  # noqa: ARG002 - nothing is saved here
        """Register anchors whose derived values are saved; return their keys.

        Args:
            wanted: keys that are not registered yet.
        """
        return set()

    def save(self) -> None:
        """Save derived values, so that `restore` finds them; here, none."""

    def add(self, key: str, anchor: TaskAnchor, held_out: HeldOut | None = None) -> None:
        """Register an anchor; do nothing if the key is registered already.

        Args:
            key: name of the anchor; a key must always refer to the same anchor.
            anchor: summary of the task.
            held_out: scores of images that were held out when the anchor was fitted.

        Raises:
            ValueError: the anchor has the wrong kind or latent size.
        """
        if not isinstance(anchor, self._anchor_type):
            raise ValueError(  # noqa: TRY004 - a foreign anchor is refused like any other bad value
                f"expected a {self._anchor_type.kind} anchor, got a {anchor.kind} one; use the "
                f"{anchor.kind} mapper"
            )
        if self._registered and anchor.dim != self._dim:
            raise ValueError(
                f"expected an anchor of latent size {self._dim}, got {anchor.dim}; it was made "
                "with another backbone"
            )
        if key not in self._registered:
            self._added(key, self.derive(anchor))
            self._register(key, anchor.dim, None if self._source else (anchor, held_out))

    def _register(self, key: str, dim: int, registered: Registered[AnchorT] | None) -> None:
        self._registered[key] = registered
        self._dim = dim
        self._keys = None

    def remove(self, key: str) -> None:
        """Remove an anchor; do nothing if the key is unknown."""
        if key in self._registered:
            del self._registered[key]
            self._keys = None
            self._removed(key)

    def keys(self) -> tuple[str, ...]:
        """Return the registered keys in canonical (sorted) order."""
        if self._keys is None:
            self._keys = tuple(sorted(self._registered))
        return self._keys

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
        check_latents(latents, self._dim)
        task, classes = self._score(latents)
        return MapperScores(keys, without_ties(task, keys, latents), classes)

    def held_out(self, key: str) -> HeldOut | None:
        """Return the scores of held-out images of a task."""
        return self._of(key)[1]

    def anchor(self, key: str) -> AnchorT:
        """Return a registered anchor."""
        return self._of(key)[0]

    def _of(self, key: str) -> Registered[AnchorT]:
        registered = self._registered[key]
        if registered is None:
            assert self._source is not None
            return self._source(key)
        return registered

    @abstractmethod
    def familiarity(self, key: str, latents: np.ndarray) -> np.ndarray:
        """Return how much each image resembles one task, by that task's anchor alone.

        Args:
            key: key of the task.
            latents: (N, D) float32 latents of the images.

        Returns:
            (N,) float64 array, higher for more similar images; the unit depends on the kind.
        """

    def _in_order(self) -> list[AnchorT]:
        """Return the anchors in canonical order."""
        return [self.anchor(key) for key in self.keys()]

    @abstractmethod
    def _added(self, key: str, derived: Any) -> None:
        """Store the derived values of an anchor that is added."""

    @abstractmethod
    def _removed(self, key: str) -> None:
        """Update derived values after removing an anchor."""

    @abstractmethod
    def _score(self, latents: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Return task scores (N, T) and class scores for latents (N, D), in canonical order."""


TIE_STEP = 64 * float(np.finfo(np.float64).eps)
"""Difference between equal scores after a decision between them, relative to scores above 1."""


def nearest_mean_familiarity(latents: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return each image's negated squared Euclidean distance to the nearest mean, (N,).

    Args:
        latents: (N, D) latents.
        means: (C, D) class means.
    """
    x, centres = (torch.from_numpy(a.astype(np.float64, copy=False)) for a in (latents, means))
    squared = (x * x).sum(1, keepdim=True) + (centres * centres).sum(1) - 2 * x @ centres.T
    return np.asarray(-squared.amin(dim=1).clamp(min=0.0).numpy())


def without_ties(task: np.ndarray, keys: Sequence[str], latents: np.ndarray) -> np.ndarray:
    """Lower all but one of several equal best scores of an image by a few rounding steps.

    The difference must survive the normalisation over all tasks, whose rounding steps may be larger
    than those of the scores.

    A hash of key and latents decides which one stays. An exact copy of a skill therefore gets half
    of its images. No key can be chosen so that it wins them all.
    """
    tied = task == task.max(axis=1, keepdims=True)
    for i in np.flatnonzero(tied.sum(axis=1) > 1):
        columns = np.flatnonzero(tied[i])
        image = np.ascontiguousarray(latents[i]).tobytes()
        order = [hashlib.sha256(keys[int(t)].encode() + image).digest() for t in columns]
        winner = columns[order.index(max(order))]
        best = float(task[i, winner])
        lower = best - TIE_STEP * max(1.0, abs(best))
        task[i, columns[columns != winner]] = lower
    return task
