"""Plan the training of the biases of one task: the paper's way, or within a budget.

A budget is counted in forward passes over all images of the task. `costs_of_task` counts the costs
that a budget is compared with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from teachmesh.biases.bias_head import TapLatents, costs_with_head, refit_macs
from teachmesh.biases.bias_options import DEFAULT_PASSES, BiasOptions
from teachmesh.biases.biased_network import BeneficialBiases, PassCosts
from teachmesh.biases.head2toe import WIDTH
from teachmesh.errors import UsageError
from teachmesh.model.head_training import BATCH_SIZE, LEARNING_RATE, MAX_EPOCHS, PATIENCE, most_macs

if TYPE_CHECKING:
    from teachmesh.biases.bias_task import BiasTask
    from teachmesh.model.forward_pass import ForwardPass

BIAS_RATE = 1e-2
"""Adam's rate on biases, which are trained in units of the following batch norm's deviation."""
AUTO_BATCH_SIZE = 8
AUTO_BIAS_RATE = 2e-2
AUTO_HEAD_RATE = 7e-3
"""Small batches and high rates give more and longer steps at the same cost.

Chosen on the validation images of eight tasks (docs/biases.md).
"""
AUTO_STEPS = 8_000
"""More steps gain nothing on large tasks, which then use fewer passes than the budget allows."""
AUTO_PARTS = 20
"""Steps are planned in this many parts of an epoch.

Task mappers differ slightly in cost. Rounding keeps that from changing the number of steps, so that
experiments train the biases once for all mappers.
"""
SMALL_SIDE = 0.75
"""Side of the smaller images that `auto` begins with, as a share of the backbone's own."""
SMALL_SHARE = 0.7
"""Share of the training images of `auto` that are smaller: they cost about half."""
SMALLEST_SIDE = 48
"""Least side in pixels of smaller images that are worth a step."""


@dataclass(frozen=True)
class BiasPlan:
    """Settings of one training run.

    Attributes:
        layers: name of the layers for `choose_layers`.
        images: training images to step over, repeats counted.
        patience: epochs without a gain on validation images before training ends, at a constant
            rate. None uses validation images at the end only, and the rate falls to zero.
        batch_size: images per step.
        bias_rate: highest rate of Adam on the biases.
        head_rate: highest rate of Adam on the head.
        small_images: number of `images`, counted from the first, that are seen at `SMALL_SIDE`.
        refit: average the trained head with a head in closed form at the end.
    """

    layers: str
    images: int
    patience: int | None
    batch_size: int = BATCH_SIZE
    bias_rate: float = BIAS_RATE
    head_rate: float = LEARNING_RATE
    small_images: int = 0
    refit: bool = False


@dataclass(frozen=True)
class TaskCosts:
    """Sizes and costs of a task that a budget is compared with.

    Attributes:
        pass_macs: multiply-accumulates of one image without biases, projection included.
        costs: costs of the passes with biases.
        train: number of training images.
        validation: number of validation images.
        before: multiply-accumulates that learning has already spent: the pass without biases and
            the fits to its latents.
        small: costs of the passes over smaller images; None if the network takes one size only.
        after: multiply-accumulates of fitting a head once the biases are trained.
    """

    pass_macs: int
    costs: PassCosts
    train: int
    validation: int
    before: int
    small: PassCosts | None = None
    after: int = 0

    def passes(self, macs: int) -> float:
        """Convert multiply-accumulates to forward passes over all images of the task."""
        return macs / (self.pass_macs * (self.train + self.validation))

    def affordable_images(
        self,
        passes: float,
        *,
        epochs_validated: bool,
        ends_with_train: bool,
        small_share: float = 0,
    ) -> int:
        """Return the number of training images that a budget pays for, after all other costs.

        Args:
            passes: the whole budget, including the passes already spent.
            epochs_validated: validation images are run after every epoch.
            ends_with_train: training images are run once more at the end; validation images always
                are.
            small_share: share of the images that are seen smaller.
        """
        images = self.train + self.validation
        left = passes * self.pass_macs * images - self.before - self.after
        left -= self.costs.prefix * images
        left -= self.costs.forward * (images if ends_with_train else self.validation)
        step = (1 - small_share) * (self.costs.forward + self.costs.backward)
        if self.small is not None:
            step += small_share * (self.small.forward + self.small.backward)
        if epochs_validated:
            step += self.costs.forward * self.validation / self.train
        return math.floor(left / step)


def costs_of_task(
    task: BiasTask, bb: BeneficialBiases, small: BeneficialBiases | None, *, head2toe: bool = False
) -> TaskCosts:
    """Count the costs of training biases for a task.

    Args:
        task: images, labels and the results without biases.
        bb: the network with biases.
        small: the same for smaller images, or None.
        head2toe: a head on single feature maps will be trained at the end.
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
    """Return the biased network for smaller images, used in the first part of training.

    Args:
        forward: forward pass of the backbone.
        bb: the biased network on images of the backbone's own size.

    Returns:
        The network at `SMALL_SIDE`, in multiples of 8 px. None if that is below `SMALLEST_SIDE`, or
        if the network takes images of one size only.
    """
    side = round(SMALL_SIDE * bb.size / 8) * 8
    if not SMALLEST_SIDE <= side < bb.size:
        return None
    small = BeneficialBiases(forward, bb.layout, side)
    try:
        small.costs  # noqa: B018 - counting runs the network
    except (RuntimeError, AssertionError):
        return None  # position embeddings of one size
    return small


def plan_layers(options: BiasOptions) -> str:
    """Return the name of the layers to bias; `auto` takes all: distant tasks need early ones.

    Log loss on validation images with biases on the later half, at twice the epochs for the same
    cost: 0.526, against 0.475 with all layers (oracle bones); 0.689 against 0.689 (trash).
    """
    return "all" if options.layers == "auto" else options.layers


def plan_biases(options: BiasOptions, task: TaskCosts) -> BiasPlan:
    """Plan the training of biases within the budget of the options.

    Args:
        options: layers and budget.
        task: costs of the task.

    Raises:
        UsageError: the budget does not pay for a single step.
    """
    auto = options.layers == "auto"
    passes = options.passes or (DEFAULT_PASSES if auto else None)
    images = task.train * MAX_EPOCHS
    small_share = SMALL_SHARE if auto and task.small is not None else 0.0
    if auto:
        images = min(images, AUTO_STEPS * AUTO_BATCH_SIZE)
    if passes is not None:
        affordable = task.affordable_images(
            passes,
            epochs_validated=not auto,
            ends_with_train=options.head2toe,
            small_share=small_share,
        )
        images = min(images, _in_parts(affordable, task.train) if auto else affordable)
    if images < min(task.train, AUTO_BATCH_SIZE):
        raise UsageError(
            f"expected a larger budget than {passes:g} forward passes: nothing of it is left for "
            "the biases' training; raise --bb-passes"
        )
    if auto:
        small_images = math.ceil(small_share * images)
        rates = AUTO_BIAS_RATE, AUTO_HEAD_RATE
        return BiasPlan(
            plan_layers(options),
            images,
            None,
            AUTO_BATCH_SIZE,
            *rates,
            small_images=small_images,
            refit=not options.head2toe,
        )
    return BiasPlan(plan_layers(options), images, PATIENCE)


def _in_parts(images: int, train: int) -> int:
    """Round down to whole parts of an epoch; keep numbers below one part as they are."""
    steps = math.ceil(train / AUTO_PARTS / AUTO_BATCH_SIZE)
    part = steps * AUTO_BATCH_SIZE
    return images // part * part or images
