"""Estimate the costs of baselines from the sizes of tasks alone.

Passes and bytes are counted by the same rules as in a real run (`teachmesh_lab.baselines`), as far
as these rules depend only on sizes. As in the accounts, the costs of answers are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.baseline_registry import BASELINES
from teachmesh_lab.baselines.choose_hyperparameters import points
from teachmesh_lab.baselines.closed_forms import learnings
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.training_costs import PassCost, weight_layers
from teachmesh_lab.bench.baseline_options import Scalar, with_defaults
from teachmesh_lab.bench.bench_methods import check_estimated
from teachmesh_lab.bench.closed_form_estimates import closed_form_costs
from teachmesh_lab.bench.starting_nets import StartingNet, starting_net
from teachmesh_lab.evaluation.cost_ledger import (
    Account,
    TaskCost,
    account,
    chain_account,
    gather_account,
)
from teachmesh_lab.simulation.task_estimates import NetworkSize, TaskSize

_FLOAT = 4
_ON_TOP: Mapping[str, int] = {"ewc": 2, "online-ewc": 1, "mas": 1, "si": 1}
"""Extra numbers per trunk weight that a regulariser passes to the next agent."""


@dataclass(frozen=True)
class TrunkSize:
    """Size of a network that a baseline trains.

    Attributes:
        per_image: cost of a forward and a backward pass for one training image.
        size_px: side length of the training images in pixels.
        dim: dimension of the network's latents, D.
        numbers: number of parameters.
        norm_numbers: number of statistics of running batch norms; 0 if they are frozen.
        weights: number of weights in layers that can be masked.
    """

    per_image: PassCost
    size_px: int
    dim: int
    numbers: int
    norm_numbers: int
    weights: int


@dataclass(frozen=True)
class Planned:
    """Estimated costs of a method.

    Attributes:
        account: costs of learning all tasks with N agents.
        choice_macs: one-off cost, in multiply-accumulates, of tuning the hyper-parameters on the
            first tasks.
    """

    account: Account
    choice_macs: int


def plan_baseline(
    method: str,
    tasks: Sequence[TaskSize],
    agents: int,
    network: NetworkSize,
    options: Mapping[str, Scalar],
    *,
    backbones: Path,
    backbone: str,
    alpha: float,
    packing: str,
) -> Planned:
    """Estimate the costs of a baseline.

    Args:
        method: name of the baseline.
        tasks: sizes of the tasks in the order of learning.
        agents: number of agents, N.
        network: size of the backbone, for methods that work on its latents.
        options: training options of the grid.
        backbones: backbone folder of the home.
        backbone: alias of the grid's backbone, which may be the network to train.
        alpha: multiply-accumulates per byte.
        packing: how tasks are assigned to agents, for methods that learn tasks separately.
    """
    check_estimated(method)
    info = BASELINES[method]
    chosen = with_defaults(dict(options))
    first = int(chosen["choice_tasks"])
    if info.kind == "frozen":
        costs, once = closed_form_costs(method, tasks, network)
        paid = account(costs, agents, alpha=alpha, packing=packing, consolidation_macs=once)
        fits = [
            cost.teacher_macs - _images(task) * network.macs_per_image
            for cost, task in zip(costs, tasks, strict=True)
        ]
        return Planned(paid, learnings(method) * sum(fits[:first]))
    start = starting_net(method, chosen, backbones, backbone, weights=False)
    trunk = trunk_size(start, running_norms=chosen["norms"] == "running")
    costs = trained_costs(method, tasks, trunk, chosen)
    choice = _tries(method) * sum(cost.teacher_macs for cost in costs[:first])
    if info.parallel:
        return Planned(account(costs, agents, alpha=alpha, packing=packing), choice)
    hand_over = hand_over_bytes(method, tasks, trunk)
    if method == "joint":
        images = sum(task.image_bytes for task in tasks)
        return Planned(gather_account(costs, agents, images, hand_over, alpha=alpha), choice)
    return Planned(chain_account(costs, agents, hand_over, alpha=alpha), choice)


_sizes: dict[tuple[str, int, bool], TrunkSize] = {}


def trunk_size(start: StartingNet, *, running_norms: bool = False) -> TrunkSize:
    """Measure the size of the network that a method starts from.

    Networks are told apart by name and input size, and each is built only once.

    Args:
        start: the network.
        running_norms: whether its batch norms learn statistics.
    """
    key = (start.name, start.size_px, running_norms)
    if key not in _sizes:
        trunk = build_net(start.factory, 0).to("meta")  # shapes suffice for counting
        net = MultiHead(trunk, start.size_px, 0, running_norms=running_norms)
        _sizes[key] = TrunkSize(
            net.costs.per_image,
            start.size_px,
            net.dim,
            net.numbers,
            sum(tensor.numel() for tensor in net.norm_statistics),
            sum(layer.get_parameter("weight").numel() for layer in weight_layers(trunk).values()),
        )
    return _sizes[key]


def trained_costs(
    method: str, tasks: Sequence[TaskSize], trunk: TrunkSize, options: Mapping[str, Scalar]
) -> list[TaskCost]:
    """Estimate each task's learning cost; bytes are 0 unless tasks are learned separately."""
    found: list[TaskCost] = []
    before: list[TaskSize] = []
    epochs = int(options["epochs"])
    for task in tasks:
        macs = epochs * task.train * _step(trunk, task.classes)
        macs += _method_macs(method, task, before, trunk, options)
        size = _mask_bytes(task, trunk) if BASELINES[method].parallel else 0
        found.append(TaskCost(task.name, macs, size))
        before.append(task)
    return found


def hand_over_bytes(method: str, tasks: Sequence[TaskSize], trunk: TrunkSize) -> int:
    """Return the bytes that an agent in a chain passes to the next one after all tasks."""
    if "supsup" in method:
        return sum(_mask_bytes(task, trunk) for task in tasks)
    heads = sum(task.classes * (trunk.dim + 1) for task in tasks)
    numbers = trunk.numbers * (1 + _ON_TOP.get(method, 0)) + trunk.norm_numbers
    size = _FLOAT * (numbers + heads)
    if method == "er":
        kept = sum(_kept(task) for task in tasks)
        size += kept * (3 * trunk.size_px**2 + 8)  # pixels, and a label of eight bytes
    return size


def _step(trunk: TrunkSize, classes: int) -> int:
    """Return the MACs of a forward and a backward pass for one image, including the task's head."""
    return trunk.per_image.forward + trunk.per_image.backward + 3 * trunk.dim * classes


def _method_macs(
    method: str,
    task: TaskSize,
    before: Sequence[TaskSize],
    trunk: TrunkSize,
    options: Mapping[str, Scalar],
) -> int:
    """Return the multiply-accumulates that a method adds to plain training on one task."""
    old = sum(item.classes for item in before)
    epochs = int(options["epochs"])
    if method in ("ewc", "online-ewc", "mas"):
        images = min(int(BASELINES[method].grid["images"][0]), task.train)
        labels = 0 if method == "mas" else trunk.per_image.forward + trunk.dim * task.classes
        return images * (_step(trunk, task.classes) - trunk.dim * task.classes + labels)
    if method == "lwf" and before:
        heads = epochs * 4 * old + int(options["warm_up"]) * 2 * task.classes
        return task.train * (trunk.per_image.forward + trunk.dim * heads)
    if method == "er" and before:
        # Old images have heads of average size.
        return epochs * _replayed(task, before, options) * _step(trunk, round(old / len(before)))
    return 0


def _replayed(task: TaskSize, before: Sequence[TaskSize], options: Mapping[str, Scalar]) -> int:
    """Return the old images that ER replays in one epoch."""
    batch, passes = int(options["batch_size"]), float(options["replay_passes"])
    buffer = sum(_kept(item) for item in before)
    full, rest = divmod(task.train, batch)
    wanted = [
        size if not passes else math.ceil(size * passes * buffer / task.train)
        for size in (batch, rest)
    ]
    return full * min(wanted[0], buffer) + min(wanted[1], buffer)


def _tries(method: str) -> int:
    """Return the number of hyper-parameter trials: 0 if there is only one candidate."""
    count = len(points(BASELINES[method].grid))
    return count if count > 1 else 0


def _images(task: TaskSize) -> int:
    return task.train + task.validation


def _kept(task: TaskSize) -> int:
    per_class = int(BASELINES["er"].grid["images_per_class"][0])
    return min(task.train, per_class * task.classes)


def _mask_bytes(task: TaskSize, trunk: TrunkSize) -> int:
    return -(-(trunk.weights + trunk.dim * task.classes) // 8) + _FLOAT * trunk.norm_numbers
