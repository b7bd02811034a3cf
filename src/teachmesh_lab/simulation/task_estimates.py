"""What a task would cost, from its size alone: for plans and simulations before any run.

Backbone passes and bytes are close; fits depend on when they stop, and are taken at their most.
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
"""Forward, and backward for inputs and for weights."""
_LATE_PASSES = 28.3
"""Forward passes that `+bb-last` takes: it has no budget, and this is what ten tasks needed on
average (docs/results/biases.md)."""
_EM_PRODUCTS = 15
"""Products of all latents with all clusters that k-means and EM take, or so."""
_CARD_BYTES = 2_000
_CLASS_CARD_BYTES = 24
"""Name and count of a class on the card."""


@dataclass(frozen=True)
class TaskSize:
    """What is known of a task before it is opened.

    Attributes:
        name: of the task.
        classes: C.
        train: training images.
        validation: validation images.
        image_bytes: of the files of both.
    """

    name: str
    classes: int
    train: int
    validation: int
    image_bytes: int = 0


@dataclass(frozen=True)
class NetworkSize:
    """What is known of a backbone.

    Attributes:
        macs_per_image: of one forward pass.
        last_dim: of the paper's latent.
        dim: of multi-depth latents.
    """

    macs_per_image: int
    last_dim: int
    dim: int


def estimate_task(method: str, task: TaskSize, network: NetworkSize) -> TaskCost:
    """Cost of learning and sharing one task as a skill.

    Args:
        method: of teachmesh; for baselines see `bench.baseline_estimates`.
        task: its size.
        network: the backbone.

    Raises:
        UsageError: an unknown method.
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
    """What an agent pays once when all skills are there: the factorisation of a covariance."""
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
