"""Costs of training and answering in multiply-accumulates, computed from the cost per image.

The cost of convolutions and matrix products is proportional to the number of images. Therefore one
counted pass of one image gives the exact cost of every batch, without slowing down training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from teachmesh.model.macs import count_macs


@dataclass(frozen=True)
class PassCost:
    """Multiply-accumulates for one image in a network.

    Attributes:
        forward: multiply-accumulates of the forward pass.
        backward: multiply-accumulates of the gradients of all weights and all inputs but the image.
    """

    forward: int
    backward: int


def pass_cost(trunk: nn.Module, size: int) -> PassCost:
    """Return the cost of one training pass for one image.

    For every product of the forward pass, the backward pass has two products of equal size: one for
    the weights, one for the inputs. Layers that read the image itself do not need the second
    product. The backward cost is derived from the forward cost, because torch 2.13 counts too
    much. Torch multiplies the cost of a grouped convolution's weight gradient by the number of
    groups.

    Args:
        trunk: network for (N, 3, S, S) float images; only its convolutions and linear layers may
            compute products.
        size: side length of the images in pixels, S.
    """
    image = torch.zeros(1, 3, size, size, device=next(trunk.parameters()).device)
    at_the_image: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not inputs[0].requires_grad:
            at_the_image.append((module, inputs[0].detach()))

    layers = weight_layers(trunk).values()
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        trunk(image)
    finally:
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        forward = count_macs(lambda: trunk(image))
        first = sum(count_macs(partial(layer, x)) for layer, x in at_the_image)
    return PassCost(forward, 2 * forward - first)


def weight_layers(trunk: nn.Module) -> dict[str, nn.Module]:
    """Return convolutions and linear layers by name, in network order."""
    return {
        name: module
        for name, module in trunk.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


class Costs:
    """Multiply-accumulates that one run has spent so far.

    Args:
        trunk: network below the heads.
        size: side length of the images in pixels.
        dim: latent size, D.

    Attributes:
        forward: multiply-accumulates of forward passes while learning.
        backward: multiply-accumulates of backward passes while learning.
        test: multiply-accumulates of answering.
    """

    def __init__(self, trunk: nn.Module, size: int, dim: int) -> None:
        self.per_image = pass_cost(trunk, size)
        self.dim = dim
        self.forward = self.backward = self.test = 0

    def training_pass(self, n: int, heads: Sequence[tuple[int, int]]) -> None:
        """Add the cost of training on N images; `heads` is (images, classes) for each head."""
        products = self.dim * sum(rows * classes for rows, classes in heads)
        self.forward += n * self.per_image.forward + products
        self.backward += n * self.per_image.backward + 2 * products

    def sensitivity_pass(self, n: int, n_classes: int) -> None:
        """Add the cost of training on N images, without the gradient of the head's weights."""
        products = self.dim * n * n_classes
        self.forward += n * self.per_image.forward + products
        self.backward += n * self.per_image.backward + products

    def forward_pass(self, n: int, heads: Sequence[tuple[int, int]] = ()) -> None:
        """Add N forward passes to the cost of learning; `heads` is (images, classes) per head."""
        products = self.dim * sum(rows * classes for rows, classes in heads)
        self.forward += n * self.per_image.forward + products

    def head_pass(self, heads: Sequence[tuple[int, int]]) -> None:
        """Add forward passes of heads alone, on existing latents, to the cost of learning."""
        self.forward += self.dim * sum(rows * classes for rows, classes in heads)

    def inference_pass(self, n: int, products: int) -> None:
        """Add a forward and a backward pass per image to the cost of answering.

        Args:
            n: number of images.
            products: multiply-accumulates per image on top.
        """
        self.test += n * (self.per_image.forward + self.per_image.backward + products)

    def test_pass(self, n: int, n_classes: int) -> None:
        """Add the cost of answers for N images; the heads have `n_classes` classes in total."""
        self.test += n * (self.per_image.forward + self.dim * n_classes)
