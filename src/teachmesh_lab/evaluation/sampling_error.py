"""Errors that come from the choice of test images: bootstrap over the images of each task.

An accuracy is the unweighted mean over T tasks, each with its own N test images. A bootstrap sample
draws N images of every task with replacement. Methods are compared on the same drawn images, so
that images that are difficult for both do not widen the interval (paired bootstrap).

References:
    [1] Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
"""Number of bootstrap samples for an interval."""

Strata = Mapping[tuple[str, str], np.ndarray]
"""(task, hash of its test images) -> (N,) share of right answers of each image, over seeds."""


@dataclass(frozen=True)
class Difference:
    """Difference of two accuracies on the same images, as a fraction of 1.

    Attributes:
        mean: first accuracy minus second accuracy.
        low: lower end of the 95 % bootstrap interval.
        high: upper end of the interval.
    """

    mean: float
    low: float
    high: float


def join_seeds(seeds: Sequence[Strata]) -> dict[tuple[str, str], np.ndarray]:
    """Average the right answers to each image over the seeds that were measured on it.

    Images of different seeds stay apart if their hashes differ. The weight of a stratum is the
    number of seeds in it; it is stored as a second row.

    Args:
        seeds: for each seed, 0 or 1 for every image of every task.

    Returns:
        (task, hash) -> (2, N) array: shares of right answers, and the number of seeds.
    """
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for strata in seeds:
        for key, right in strata.items():
            found.setdefault(key, []).append(np.asarray(right, dtype=np.float64))
    return {
        key: np.stack([np.mean(rights, axis=0), np.full(len(rights[0]), float(len(rights)))])
        for key, rights in found.items()
    }


def image_error(seeds: Sequence[Strata]) -> float | None:
    """Return the standard error of an accuracy that is due to the choice of test images.

    It is the bootstrap's standard error for an infinite number of samples. It has a closed form:
    the sum over tasks of the variance of the images divided by their number.

    Args:
        seeds: for each seed, 0 or 1 for every image of every task.

    Returns:
        The error as a fraction of 1; None without images.

    Examples:
        >>> image_error([{("digits", "a1"): np.array([1, 0, 1, 1])}])
        0.21650635094610965
    """
    strata = join_seeds(seeds)
    if not strata:
        return None
    weights = _weights(strata)
    variances = [weights[key] ** 2 * np.var(v[0]) / v.shape[1] for key, v in strata.items()]
    return float(np.sqrt(np.sum(variances)))


def paired_difference(
    first: Sequence[Strata], second: Sequence[Strata], *, draws: int = DRAWS
) -> Difference | None:
    """Compare two methods on the test images that both answered.

    Args:
        first: for each seed, 0 or 1 for every image of every task.
        second: the same for the other method.
        draws: number of bootstrap samples.

    Returns:
        Difference of the accuracies with a 95 % percentile interval; None without common images.
    """
    one, two = join_seeds(first), join_seeds(second)
    common = [key for key in one if key in two and one[key].shape == two[key].shape]
    if not common:
        return None
    weights = _weights({key: one[key] for key in common})
    random = np.random.default_rng(0)
    mean, sampled = 0.0, np.zeros(draws)
    for key in sorted(common):
        gaps = one[key][0] - two[key][0]
        drawn = random.multinomial(len(gaps), np.full(len(gaps), 1 / len(gaps)), size=draws)
        mean += weights[key] * float(np.mean(gaps))
        sampled += weights[key] * (drawn @ gaps) / len(gaps)
    low, high = np.quantile(sampled, [0.025, 0.975])
    return Difference(mean, float(low), float(high))


def _weights(strata: Mapping[tuple[str, str], np.ndarray]) -> dict[tuple[str, str], float]:
    """Return the share of each stratum in the mean over tasks and seeds."""
    seeds_of: dict[str, float] = {}
    for (task, _), values in strata.items():
        seeds_of[task] = seeds_of.get(task, 0.0) + values[1, 0]
    return {
        (task, images): values[1, 0] / seeds_of[task] / len(seeds_of)
        for (task, images), values in strata.items()
    }
