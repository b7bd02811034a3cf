"""What steps over the images of a task cost, at their own size and smaller, in a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from teachmesh.biases.bias_latents import TapLatents
from teachmesh.biases.bias_plan import SMALL_SIDE, TaskCosts
from teachmesh.biases.bias_refit import refit_macs
from teachmesh.biases.bias_training import costs_with_head
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.biases.head2toe import WIDTH
from teachmesh.model.head_training import most_macs

if TYPE_CHECKING:
    from teachmesh.biases.bias_task import BiasTask
    from teachmesh.model.forward_pass import ForwardPass

SMALLEST_SIDE = 48
"""Pixels below which smaller images are not worth a step."""


def costs_of_task(
    task: BiasTask, bb: BeneficialBiases, small: BeneficialBiases | None, *, head2toe: bool = False
) -> TaskCosts:
    """What a budget for the biases of a task is counted in.

    Args:
        task: images, labels and what is known without biases.
        bb: the network with biases.
        small: the same for smaller images, or none.
        head2toe: a head on single feature maps will be trained in the end.
    """
    reads = TapLatents(task.base, task.backbone.reference, bb.device).smooth
    n_train, n_validation = len(task.train_labels), len(task.validation_labels)
    n_classes, dim = task.start.weight.shape
    return TaskCosts(
        task.backbone.macs_per_image,
        costs_with_head(bb, reads, task.start),
        n_train,
        n_validation,
        task.before_macs,
        None if small is None else costs_with_head(small, reads, task.start),
        most_macs(n_train, n_validation, WIDTH + dim, n_classes)
        if head2toe
        else refit_macs(n_train, dim, n_classes),
    )


def smaller(forward: ForwardPass, bb: BeneficialBiases) -> BeneficialBiases | None:
    """The same biases on smaller images, for the first part of training.

    Args:
        forward: of the backbone.
        bb: on images of the backbone's own size.

    Returns:
        At `SMALL_SIDE`, in multiples of 8 px; None where that is too small to show anything, or
        where the network takes images of one size only.
    """
    side = round(SMALL_SIDE * bb.size / 8) * 8
    if not SMALLEST_SIDE <= side < bb.size:
        return None
    small = BeneficialBiases(forward, bb.layout, side)
    try:
        small.costs  # noqa: B018 - counting runs the network
    except (RuntimeError, AssertionError):
        return None  # Position embeddings of one size.
    return small
