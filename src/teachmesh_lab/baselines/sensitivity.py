"""Sensitivity of the output to each weight: mean over images of |gradient| or its square.

Gradients are computed separately for each image, as in the definitions of EWC and MAS. Some
implementations square the mean gradient of a batch, which is a different, smaller quantity.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional

from teachmesh_lab.baselines.multihead import MultiHead

CHUNK = 16
"""Number of images processed at once; each image needs a copy of the trunk's weights."""
Output = Callable[[Tensor, Tensor], Tensor]
"""Function from the (C,) logits and the scalar label of one image to a scalar."""


def mean_sensitivity(
    net: MultiHead,
    index: int,
    images: Tensor,
    labels: Tensor,
    output: Output,
    measure: Callable[[Tensor], Tensor],
) -> list[Tensor]:
    """Return the mean over images of a measure of the gradient of each image's output.

    Args:
        net: the network.
        index: position of the task whose head is used.
        images: the images as an (N, 3, S, S) uint8 tensor.
        labels: (N,) int64 labels, which are passed to `output`.
        output: scalar function to differentiate, such as a log-likelihood.
        measure: function of a gradient, element by element: its square or absolute value.

    Returns:
        One tensor per parameter of the trunk, with the parameter's shape.
    """
    weights = {name: p.detach() for name, p in net.trunk.named_parameters()}
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for rows in torch.split(torch.arange(len(labels)), CHUNK):
        gradients = _gradients(net, index, images[rows], labels[rows].to(net.device), output)
        for total, gradient in zip(totals.values(), gradients, strict=True):
            total += measure(gradient).sum(0)
    net.costs.sensitivity_pass(len(labels), net.classes(index))
    return [total / len(labels) for total in totals.values()]


def _gradients(
    net: MultiHead, index: int, images: Tensor, labels: Tensor, output: Output
) -> list[Tensor]:
    """Return the (N, *shape) gradients of each image's output, for every parameter of the trunk.

    Every image gets its own copy of the weights, so that one ordinary backward pass keeps the
    gradients separate. `torch.func.grad` would import torch's compiler, which takes seconds.
    """
    head = net.head(index)
    head_weight, head_bias = head.weight.detach(), head.bias.detach()

    def of_one(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        found = functional_call(net.trunk, parameters, (image[None],))
        latents = found[-1] if isinstance(found, tuple | list) else found  # (1, D)
        return output(functional.linear(latents, head_weight, head_bias)[0], label)

    copies = {
        name: p.detach().expand(len(images), *p.shape).clone().requires_grad_()
        for name, p in net.trunk.named_parameters()
    }
    outputs = vmap(of_one)(copies, net.prepare(images), labels)  # (N,)
    found = torch.autograd.grad(outputs.sum(), list(copies.values()), allow_unused=True)
    return [
        torch.zeros_like(copy) if gradient is None else gradient
        for gradient, copy in zip(found, copies.values(), strict=True)
    ]


def some_rows(n: int, most: float, generator: torch.Generator) -> Tensor:
    """Draw at most `most` of n rows at random; return them in ascending order."""
    return torch.randperm(n, generator=generator)[: int(most)].sort().values
