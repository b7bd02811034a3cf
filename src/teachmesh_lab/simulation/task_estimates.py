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
from teachmesh.mapping.moments import RANK
from teachmesh.mapping.moments_fit import OVERSAMPLE, POWER_STEPS
from teachmesh.model.head_training import MAX_EPOCHS
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method
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
    """Estimate the cost of factorising the covariance; each agent pays it only once."""
    variant = VARIANTS.get(method)
    base = None if variant is None else variant.method
    if base == "moments":
        return network.dim**3 * 2 // 3 + n_classes * network.dim**2
    if base == "maha":
        return network.last_dim**3 // 6 + n_classes * network.last_dim**2
    return 0


def _moments(task: TaskSize, network: NetworkSize, one_pass: int) -> TaskCost:
    n, c, d = task.train, task.classes, network.dim
    rank = min(RANK, n)
    products = (2 * POWER_STEPS + 2) * min(RANK + OVERSAMPLE, n) + min(n, d) + c
    numbers = 2 * c * d + rank * d + d
    size = 2 * c * (d + 6) + rank * (d + 4) + 2 * d + _CARD_BYTES + c * _CLASS_CARD_BYTES
    return TaskCost(task.name, one_pass + n * d * products, size, numbers, rank * d * d)


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
