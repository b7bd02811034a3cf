"""Typicality: whether an image resembles the images of its task, with a stated error rate.

The teacher scores images that were held out of the fit, and sends the lowest scores. An image is
"unknown" if its score is below one of them. The exact rank rule of conformal prediction chooses
that one, so that on average at most the promised fraction of known images is called unknown.

References:
    Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachmesh.errors import UsageError

FALSE_ALARMS = 0.05
"""Default fraction of known images that may be called unknown."""
MAX_IMAGES = 399
"""Maximum number of held-out images of a task."""
MAX_FALSE_ALARMS = 0.25
MAX_SCORES = 100
"""Number of scores that are sent: enough for `MAX_FALSE_ALARMS` of `MAX_IMAGES`."""
_HEADER = 3
MAX_VALUES = _HEADER + MAX_SCORES
"""Maximum length of the array that is sent."""
_SPREAD_QUANTILE = 0.05


@dataclass(frozen=True, eq=False)
class Scale:
    """Typical distances of held-out images to the nearest class mean.

    Attributes:
        median: median of the squared distances.
        spread: difference between the median and the 95 % quantile, positive.
    """

    median: float
    spread: float

    @classmethod
    def of(cls, distances: np.ndarray) -> Scale:
        """Return the scale of (n,) squared distances, n at least 1."""
        median, high = np.quantile(distances, [0.5, 1 - _SPREAD_QUANTILE])
        floor = 1e-6 * max(float(median), 1e-6)
        return cls(float(median), max(float(high - median), floor))

    def standardise(self, distances: np.ndarray) -> np.ndarray:
        """Return 0 for distances at the median and -1 at the 95 % quantile."""
        return np.asarray((self.median - distances) / self.spread)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Scores of images that were held out when a task was fitted.

    Attributes:
        images: number of held-out images, n; 0 if there are none.
        lowest: their lowest scores in ascending order, at most `MAX_SCORES`.
        scale: distances of the images, which the score needs; None for other kinds of scores.
    """

    images: int
    lowest: np.ndarray
    scale: Scale | None = None

    @classmethod
    def of(cls, scores: np.ndarray, scale: Scale | None = None) -> HeldOut:
        """Keep what is needed of (n,) scores; of more than `MAX_IMAGES`, every k-th is used."""
        step = -(-len(scores) // MAX_IMAGES) if len(scores) else 1
        used = np.sort(scores[::step])
        return cls(len(used), used[:MAX_SCORES].astype(np.float32), scale)

    def threshold(self, false_alarms: float) -> float | None:
        """Return the score below which an image is unknown; None if n is too small for the rate.

        The r-th lowest of n scores is used, where r = floor(a (n + 1)). If the image and the n
        images are exchangeable, its score is below that with probability at most a.

        Args:
            false_alarms: fraction of known images that may be called unknown, a.

        Examples:
            >>> scores = HeldOut.of(np.arange(39.0))
            >>> scores.threshold(0.05), scores.threshold(0.02)
            (1.0, None)
        """
        # The small number prevents floor(0.05 * 20) from being 0.
        rank = int(np.floor(false_alarms * (self.images + 1) + 1e-9))
        if not 1 <= rank <= len(self.lowest):
            return None
        return float(self.lowest[rank - 1])

    def tensor(self) -> np.ndarray:
        """Return the array that is sent: n, median, spread and the lowest scores, float32."""
        scale = (0.0, 0.0) if self.scale is None else (self.scale.median, self.scale.spread)
        head = np.array([self.images, *scale], dtype=np.float32)
        return np.concatenate([head, self.lowest.astype(np.float32)])

    @classmethod
    def from_tensor(cls, array: np.ndarray) -> HeldOut:
        """Read the result of `tensor`.

        Raises:
            ValueError: the array has another type or length, or its values are inconsistent.
        """
        if array.dtype != np.float32 or array.ndim != 1 or len(array) < _HEADER:
            raise ValueError("expected held-out scores as one row of float32")
        if not np.isfinite(array).all():
            raise ValueError("expected finite held-out scores, got NaN or infinity")
        images, median, spread = (float(value) for value in array[:_HEADER])
        lowest = array[_HEADER:]
        if images != int(images) or not len(lowest) <= images <= MAX_IMAGES:
            raise ValueError(f"expected 0 to {MAX_IMAGES} held-out images, got {images:g}")
        if len(lowest) != min(int(images), MAX_SCORES) or (np.diff(lowest) < 0).any():
            raise ValueError("expected the lowest held-out scores in ascending order")
        if median < 0 or spread < 0:
            raise ValueError("expected distances of at least 0, got a negative one")
        return cls(int(images), lowest, Scale(median, spread) if spread > 0 else None)


def check_rate(false_alarms: float) -> None:
    """Check a rate of false alarms.

    Raises:
        UsageError: the rate is not above 0 and at most `MAX_FALSE_ALARMS`.
    """
    if not 0 < false_alarms <= MAX_FALSE_ALARMS:
        raise UsageError(
            f"expected a rate of false alarms above 0 and up to {MAX_FALSE_ALARMS:g}, got "
            f"{false_alarms:g}"
        )


def images_needed(false_alarms: float) -> int:
    """Return the number of held-out images that a rate of false alarms needs.

    >>> images_needed(0.05)
    19
    """
    return int(np.ceil(1 / false_alarms - 1e-9)) - 1


def folds_of(labels: np.ndarray, n_folds: int) -> np.ndarray:
    """Assign each of N images to a fold, with every class spread evenly over the folds."""
    order = np.argsort(labels, kind="stable")
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % n_folds
    return fold
