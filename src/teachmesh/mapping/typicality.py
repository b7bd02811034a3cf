"""Typicality: a measure of how much an image resembles the images of a task.

The teacher measures the familiarity of its own validation images and writes two quantiles on the
card. An image that is less familiar than nearly all of these images is "unknown". On 36 real tasks,
the distance to the nearest class mean detected images of other tasks as well as Gaussian distances
did (area under the ROC curve 0.86).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor

MIN_IMAGES = 20
"""Minimum number of validation images for estimating the 5 % quantile."""
LOW_QUANTILE = 0.05
"""Fraction of a task's own images that may be called unknown."""


def calibrate(anchor: TaskAnchor, latents: np.ndarray) -> dict[str, float]:
    """Measure the typical familiarity of a task on images that were not used to fit the anchor.

    Args:
        anchor: anchor of the task.
        latents: (N, D) float32 latents of the task's validation images; N may be 0.

    Returns:
        Numbers for the card, by names that contain the anchor's kind; empty if N is too small.
    """
    if len(latents) < MIN_IMAGES:
        return {}
    low, median = np.quantile(anchor.familiarity(latents), [LOW_QUANTILE, 0.5])
    return {f"{anchor.kind}_low": float(low), f"{anchor.kind}_median": float(median)}


def typicality(
    anchor: TaskAnchor, latents: np.ndarray, calibration: Mapping[str, float]
) -> np.ndarray:
    """Return familiarity on the scale of the task's validation images.

    Args:
        anchor: anchor of the task.
        latents: (N, D) float32 latents of the images.
        calibration: result of `calibrate`; entries for other kinds of anchors are ignored.

    Returns:
        (N,) float64 array: 1 at the median of the validation images, 0 at their low quantile, and
        negative below. Without a calibration all values are 0, so that no image is "unknown".
    """
    low = calibration.get(f"{anchor.kind}_low")
    median = calibration.get(f"{anchor.kind}_median")
    if low is None or median is None:
        return np.zeros(len(latents))
    spread = max(median - low, 1e-9 * max(abs(low), 1.0))
    return np.asarray((anchor.familiarity(latents) - low) / spread)
