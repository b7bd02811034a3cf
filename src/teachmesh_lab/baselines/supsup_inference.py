"""The task inference of SUPSUP: one gradient of the entropy over all masks ([1], Sec. 3.3, Eq. 4).

The masks M_i of all k tasks are mixed with equal weights a_i = 1/k. H is the entropy of an image's
answer. The task of the image is the one whose growing weight lowers H fastest: argmax of -dH/da_i.
One forward and one backward pass serve for any number of tasks, because the effective weights are W
* sum_i a_i M_i. Hence dH/da_i is the product of dH/d(effective weights) and W * M_i.

Heads are mixed in the same way. [1] has one output layer for all tasks; here a task with fewer
classes has zero weights for the missing outputs. Mixed batch norms use the mean of the statistics
of all tasks.

References:
    [1] Wortsman et al., Supermasks in superposition, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional

from teachmesh_lab.baselines.multihead import MultiHead

_NUMBERS = 2**24
"""Limit of the copied weights of all images that are processed at once."""
_MOST_IMAGES = 16


@dataclass(frozen=True, eq=False)
class MaskedTask:
    """Effective weights of one task, W * M_i.

    Attributes:
        trunk: weights by their names in `named_parameters` of the trunk.
        head: (C, D) weights of the head.
    """

    trunk: Mapping[str, Tensor]
    head: Tensor


def infer_tasks(net: MultiHead, tasks: Sequence[MaskedTask], images: Tensor) -> np.ndarray:
    """Return the (N,) int64 positions in `tasks` that one gradient of the entropy chooses.

    Args:
        net: the network; its layers must use the weights that they are given, without a mask.
        tasks: masked weights of the k tasks.
        images: the images as an (N, 3, S, S) uint8 tensor.
    """
    mixed = _mixed(tasks)
    numbers = sum(weight.numel() for weight in mixed.values())
    chunk = min(_MOST_IMAGES, max(1, _NUMBERS // numbers))
    slopes = [_slopes(net, tasks, mixed, part) for part in torch.split(images, chunk) if len(part)]
    net.costs.inference_pass(len(images), numbers * len(tasks))
    return np.asarray(torch.cat([*slopes, torch.zeros(0, len(tasks))]).argmin(1).numpy())


_HEAD = "head"


def _mixed(tasks: Sequence[MaskedTask]) -> dict[str, Tensor]:
    """Return the mean of the masked weights over tasks, by name; the head has the widest shape."""
    width = max(len(task.head) for task in tasks)
    total = {name: torch.zeros_like(weight) for name, weight in _named(tasks[0], width).items()}
    for task in tasks:
        for name, weight in _named(task, width).items():
            total[name] += weight / len(tasks)
    return total


def _named(task: MaskedTask, width: int) -> dict[str, Tensor]:
    missing = width - len(task.head)
    return {**task.trunk, _HEAD: functional.pad(task.head, (0, 0, 0, missing))}


def _slopes(
    net: MultiHead, tasks: Sequence[MaskedTask], mixed: Mapping[str, Tensor], images: Tensor
) -> Tensor:
    """Return dH/da_i for every image and task: (N, k)."""

    def entropy(weights: dict[str, Tensor], image: Tensor) -> Tensor:
        trunk = {name: weight for name, weight in weights.items() if name != _HEAD}
        latents = functional_call(net.trunk, trunk, (image[None],))
        chances = functional.linear(latents, weights[_HEAD])[0].log_softmax(0)
        return -(chances.exp() * chances).sum()

    with torch.enable_grad():
        copies = {
            name: weight.expand(len(images), *weight.shape).clone().requires_grad_()
            for name, weight in mixed.items()
        }
        values = vmap(entropy)(copies, net.prepare(images))
        gradients = torch.autograd.grad(values.sum(), list(copies.values()))
    width = len(mixed[_HEAD])
    columns = [
        sum(
            gradient.flatten(1) @ own.flatten()
            for gradient, own in zip(gradients, _named(task, width).values(), strict=True)
        )
        for task in tasks
    ]
    return torch.stack([torch.as_tensor(column) for column in columns], 1).cpu()
