"""Estimate the costs of a task from its size, for plans and simulations before any run.

Estimates of backbone passes and bytes are accurate. The cost of a fit depends on early stopping,
so the estimate is the maximum cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from teachmesh.biases.bias_options import DEFAULT_PASSES
from teachmesh.learning.variants import NO_CONSTANTS, VARIANTS, MapperConstants, find_variant
from teachmesh.mapping.gmmc import N_CLUSTERS
from teachmesh.mapping.latent_sample import MAX_ROWS
from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh.mapping.metric import DIRECTIONS
from teachmesh.mapping.moments import LEADING
from teachmesh.mapping.moments_fit import RANK, fold_count
from teachmesh.mapping.typicality import MAX_VALUES
from teachmesh.mapping.within_covariance import FAST, FULL, Effort
from teachmesh.model.head_training import MAX_EPOCHS
from teachmesh_lab.bench.bench_methods import check_bench_method, check_estimated
from teachmesh_lab.evaluation.cost_ledger import TaskCost

_PASSES_PER_STEP = 3
"""Passes of a training step: forward, backward for inputs, and backward for weights."""
_PASSES = {"auto": DEFAULT_PASSES, "half": 28.3, "all": 52.7}
"""Forward passes per image, by choice of layers. `half` and `all` have no budget, so these are
means over ten tasks (docs/results/biases_measured.md)."""
_EM_PRODUCTS = 15
"""Approximate number of times that k-means and EM compare all latents with all clusters."""
_CARD_BYTES = 2_000
_CLASS_CARD_BYTES = 24
"""Bytes that the name and image count of a class occupy on the card."""


@dataclass(frozen=True)
class TaskSize:
    """Size of a task, known before its images are read.

    Attributes:
        name: name of the task.
        classes: number of classes, C.
        train: number of training images.
        validation: number of validation images.
        image_bytes: total file size of the training and validation images.
    """

    name: str
    classes: int
    train: int
    validation: int
    image_bytes: int = 0


@dataclass(frozen=True)
class NetworkSize:
    """Size of a backbone.

    Attributes:
        macs_per_image: multiply-accumulates of one forward pass.
        last_dim: dimension of the paper's latents.
        dim: dimension of multi-depth latents.
    """

    macs_per_image: int
    last_dim: int
    dim: int


def estimate_task(
    method: str,
    task: TaskSize,
    network: NetworkSize,
    constants: MapperConstants = NO_CONSTANTS,
) -> TaskCost:
    """Estimate the cost of learning and sharing one task as a skill.

    Args:
        method: name of a method of teachmesh (for baselines, see `bench.baseline_estimates`).
        task: size of the task.
        network: size of the backbone.
        constants: constants of the task mapper.

    Raises:
        UsageError: the method is unknown.
    """
    check_bench_method(method)
    check_estimated(method)
    one_pass = (task.train + task.validation) * network.macs_per_image
    variant = find_variant(method)
    base = variant.method
    if variant.biases is not None:
        one_pass = round(one_pass * _PASSES[variant.biases.layers])
    if base == "moments":
        return _moments(task, network, one_pass)
    head = _PASSES_PER_STEP * MAX_EPOCHS * task.train * task.classes * network.last_dim
    if base == "gmmc":
        return _gmmc(task, network, one_pass + head, constants.clusters or N_CLUSTERS)
    return _maha(task, network, one_pass + head, _samples(task, constants))


def consolidation_macs(
    method: str,
    tasks: Sequence[TaskSize],
    network: NetworkSize,
    constants: MapperConstants = NO_CONSTANTS,
) -> int:
    """Estimate the cost of consolidating all skills, which each agent pays once.

    For `maha`, this is the covariance of all samples, its factorisation, and a solution for every
    class. Every class is assumed to have enough images for the samples.

    Args:
        method: name of a method.
        tasks: sizes of all tasks.
        network: size of the backbone.
        constants: constants of the task mapper.
    """
    variant = VARIANTS.get(method)
    if variant is None or variant.method != "maha":
        return 0
    rows = sum(task.classes + _samples(task, constants) for task in tasks)
    return network.last_dim**3 // 6 + rows * network.last_dim**2


def _moments(task: TaskSize, network: NetworkSize, one_pass: int) -> TaskCost:
    n, c, d = task.train, task.classes, network.dim
    rank = min(RANK, n)
    fit = _macs_of_rows(n, c, d) if n <= MAX_ROWS else d**2 * _products_of_sums(n, c, d)
    floats = 3 * c + rank + 2 + min(MAX_VALUES, n + 3)
    numbers = 2 * c * d + rank * d + floats
    size = 2 * c * d + rank * d + 4 * floats + _card_bytes(task)
    coordinates, directions = LEADING
    register = _density_macs(c, rank, d)
    register += _density_macs(c, min(directions, rank), min(coordinates, d))
    return TaskCost(task.name, one_pass + fit, size, numbers, register)


def _macs_of_rows(n: int, c: int, d: int) -> int:
    """Return the cost of a fit to N latents and of its cross-validation.

    With fewer images than dimensions, most products are between images.
    """
    width, folds = min(RANK + FULL.oversample, n, d), fold_count(n)
    per_latent = 3 * min(DIRECTIONS, d) + n + min(n, d) + 2 * width + (3 + folds) * c
    fold = 2 * c + min(RANK, d) + _steps(FAST, n)
    if n < d:
        return n * d * per_latent + n * n * (FULL.power_steps * width + folds * fold)
    return n * d * (per_latent + 2 * FULL.power_steps * width + d) + n * n * folds * fold


def _products_of_sums(n: int, c: int, d: int) -> int:
    """Return the products per pair of dimensions of a fit to exact sums.

    The covariance is brought into the space of the metric twice. Each fold of the sample is taken
    out of it. There are two factorisations.
    """
    folds = fold_count(MAX_ROWS)
    covariances = 2 * (c + 4 * min(DIRECTIONS, d)) + MAX_ROWS + folds * c
    iterations = _steps(FULL, d) + folds * _steps(FAST, d)
    return n + covariances + iterations + 3 * c + d // 3


def _steps(effort: Effort, d: int) -> int:
    """Return the products per entry of a (D, D) matrix of a subspace iteration on it."""
    return (effort.power_steps + 2) * min(RANK + effort.oversample, d)


def _density_macs(classes: int, rank: int, dim: int) -> int:
    """Return the cost of `TaskDensity.of`: products, a factorisation, and an inverse."""
    return 2 * rank**2 * dim + rank**3 // 6 + rank**3 // 2 + 2 * classes * rank * dim


def _samples(task: TaskSize, constants: MapperConstants) -> int:
    return min(constants.samples_or(SAMPLES_PER_CLASS) * task.classes, task.train)


def _gmmc(task: TaskSize, network: NetworkSize, macs: int, clusters: int) -> TaskCost:
    d = network.last_dim
    macs += _EM_PRODUCTS * task.train * 2 * d * clusters
    numbers = _head_numbers(task, network) + min(clusters, task.train) * (2 * d + 1)
    return TaskCost(task.name, macs, 4 * numbers + _card_bytes(task), numbers)


def _maha(task: TaskSize, network: NetworkSize, macs: int, samples: int) -> TaskCost:
    floats = _head_numbers(task, network) + (task.classes + samples) * network.last_dim
    size = 4 * floats + 2 * samples + _card_bytes(task)  # labels of samples take two bytes
    return TaskCost(task.name, macs, size, floats + samples)


def _head_numbers(task: TaskSize, network: NetworkSize) -> int:
    """Return the number of numbers in a trained head and in the scores of held-out images."""
    return task.classes * (network.last_dim + 1) + min(MAX_VALUES, task.validation + 3)


def _card_bytes(task: TaskSize) -> int:
    return _CARD_BYTES + task.classes * _CLASS_CARD_BYTES
