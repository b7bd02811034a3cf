"""Estimate the costs of a task from its size, for plans and simulations before any run.

Estimates of backbone passes and bytes are accurate. The cost of a fit depends on early stopping,
so the estimate is the maximum cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from teachmesh.biases.bias_options import DEFAULT_PASSES, BiasOptions
from teachmesh.learning.variants import VARIANTS, find_variant
from teachmesh.mapping.gmmc import N_CLUSTERS
from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh.mapping.metric import DIRECTIONS
from teachmesh.mapping.moments import LEADING
from teachmesh.mapping.moments_fit import (
    FAST_OVERSAMPLE,
    FAST_STEPS,
    OVERSAMPLE,
    POWER_STEPS,
    RANK,
    fold_count,
)
from teachmesh.mapping.typicality import MAX_VALUES
from teachmesh.model.head_training import MAX_EPOCHS
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, check_estimated
from teachmesh_lab.evaluation.cost_ledger import TaskCost

_PASSES_PER_STEP = 3
"""Passes of a training step: forward, backward for inputs, and backward for weights."""
_LATE_PASSES = 28.3
"""Mean number of forward passes per image over ten tasks, for `+bb-last`, which has no budget
(docs/results/biases_measured.md)."""
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


def estimate_task(method: str, task: TaskSize, network: NetworkSize) -> TaskCost:
    """Estimate the cost of learning and sharing one task as a skill.

    Args:
        method: name of a method of teachmesh (for baselines, see `bench.baseline_estimates`).
        task: size of the task.
        network: size of the backbone.

    Raises:
        UsageError: the method is unknown.
    """
    kind = check_bench_method(method)
    check_estimated(method)
    one_pass = (task.train + task.validation) * network.macs_per_image
    variant = find_variant(method)
    base = variant.method
    if kind is Kind.ADAPTED:
        late = variant.biases == BiasOptions("half")
        one_pass = round(one_pass * (_LATE_PASSES if late else DEFAULT_PASSES))
    if base == "moments":
        return _moments(task, network, one_pass)
    head = _PASSES_PER_STEP * MAX_EPOCHS * task.train * task.classes * network.last_dim
    return _with_head(base, task, network, one_pass + head)


def consolidation_macs(method: str, n_classes: int, network: NetworkSize) -> int:
    """Estimate the cost of factorising the covariance of `maha`; each agent pays it only once."""
    variant = VARIANTS.get(method)
    if variant is not None and variant.method == "maha":
        return network.last_dim**3 // 6 + n_classes * network.last_dim**2
    return 0


def _moments(task: TaskSize, network: NetworkSize, one_pass: int) -> TaskCost:
    n, c, d = task.train, task.classes, network.dim
    rank = min(RANK, n)
    products = (2 * POWER_STEPS + 2) * min(RANK + OVERSAMPLE, n) + 2 * min(n, d) + 3 * c
    folds = fold_count(n)
    products += (folds - 1) * (2 * FAST_STEPS + 2) * min(RANK + FAST_OVERSAMPLE, n) + rank + c
    products += 5 * min(DIRECTIONS, d)
    floats = 3 * c + rank + 2 + min(MAX_VALUES, n + 3)
    numbers = 2 * c * d + rank * d + floats
    size = 2 * c * d + rank * d + 4 * floats + _CARD_BYTES + c * _CLASS_CARD_BYTES
    coordinates, directions = LEADING
    register = _density_macs(c, rank, d)
    register += _density_macs(c, min(directions, rank), min(coordinates, d))
    return TaskCost(task.name, one_pass + n * d * products, size, numbers, register)


def _density_macs(classes: int, rank: int, dim: int) -> int:
    """Return the cost of `TaskDensity.of`: products, a factorisation, and a triangular solve."""
    return 3 * rank**2 * dim // 2 + rank**3 // 6 + 2 * classes * rank * dim


def _with_head(method: str, task: TaskSize, network: NetworkSize, macs: int) -> TaskCost:
    c, d = task.classes, network.last_dim
    numbers = c * (d + 1)
    register = 0
    if method == "maha":
        samples = SAMPLES_PER_CLASS * c
        numbers += (c + samples) * d
        register = samples * d * d
    else:
        numbers += min(N_CLUSTERS, task.train) * (2 * d + 1)
        macs += _EM_PRODUCTS * task.train * 2 * d * N_CLUSTERS
    size = 4 * numbers + _CARD_BYTES + c * _CLASS_CARD_BYTES
    return TaskCost(task.name, macs, size, numbers, register)
