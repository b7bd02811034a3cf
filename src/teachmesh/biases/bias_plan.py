"""Plan the bias training of one task, as in the paper or within a budget.

A budget is given in forward passes over all images of the task. `costs_of_task` counts the costs
that the budget must cover.
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
"""Learning rate of the biases, in units of the following batch norm's standard deviation."""
AUTO_BATCH_SIZE = 8
AUTO_BIAS_RATE = 2e-2
AUTO_HEAD_RATE = 7e-3
"""Settings of `auto`: small batches and high learning rates give more and longer steps per cost.

The values were chosen on the validation images of eight tasks (docs/biases.md).
"""
AUTO_STEPS = 8_000
"""Maximum number of steps; more steps gain nothing on large tasks, even within the budget."""
AUTO_PARTS = 20
"""Number of parts of an epoch; the length of training is rounded down to whole parts.

Task mappers differ slightly in cost. The rounding hides this difference, so that experiments train
the biases once for all mappers.
"""
SMALL_SIDE = 0.75
"""Side of the smaller images in the first steps of `auto`, relative to the backbone's size."""
SMALL_SHARE = 0.7
"""Fraction of the steps of `auto` on smaller images, which cost about half as much."""
SMALLEST_SIDE = 48
"""Minimum side of smaller images in pixels; images that would be smaller still are not used."""


@dataclass(frozen=True)
class BiasPlan:
    """Settings of one training run.

    Attributes:
        layers: choice of layers, see `choose_layers`.
        images: number of training images to process, including repeats.
        patience: number of epochs without a validation gain after which training stops; the
            learning rate is constant. If None, validation images are used only at the end, and
            the learning rate decays to zero.
        batch_size: number of images per step.
        bias_rate: peak learning rate of the biases.
        head_rate: peak learning rate of the head.
        small_images: number of images to process at `SMALL_SIDE`, at the start of training.
        refit: True to average the trained head with a closed-form head at the end.
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
    """Size and costs of a task, for comparison with a budget.

    Attributes:
        pass_macs: multiply-accumulates of one image without biases, including the projection.
        costs: costs of one image with biases.
        train: number of training images.
        validation: number of validation images.
        before: multiply-accumulates already spent on the pass without biases and on the fits to
            its latents.
        small: costs of one smaller image with biases; None if no smaller images are used.
        after: multiply-accumulates of fitting a head after the biases are trained.
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
        """Return the number of training images that a budget covers after all other costs.

        Args:
            passes: total budget in forward passes, including the passes already spent.
            epochs_validated: True if the validation images are run after every epoch.
            ends_with_train: True if the training images are also run once more at the end,
                like the validation images.
            small_share: fraction of the training images that are processed at the smaller size.
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
        small: the network with biases for smaller images, or None.
        head2toe: True if a head that reads feature maps will be trained at the end.
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
        bb: the biased network for images of the backbone's own size.

    Returns:
        The network for images at `SMALL_SIDE`, rounded to a multiple of 8 px. None if this side is
        below `SMALLEST_SIDE`, or if the network takes images of one size only.
    """
    side = round(SMALL_SIDE * bb.size / 8) * 8
    if not SMALLEST_SIDE <= side < bb.size:
        return None
    small = BeneficialBiases(forward, bb.layout, side)
    try:
        small.costs  # noqa: B018 - counting runs the network
    except (RuntimeError, AssertionError):
        return None  # the network's position embeddings have a fixed size
    return small


def plan_layers(options: BiasOptions) -> str:
    """Return the choice of layers; `auto` means all, because distant tasks need early layers.

    At the same cost, biases on only the last half of the layers allow twice as many epochs. But on
    oracle bones the validation log loss was then 0.526, against 0.475 with all layers. On trash it
    was 0.689 with either choice.
    """
    return "all" if options.layers == "auto" else options.layers


def plan_biases(options: BiasOptions, task: TaskCosts) -> BiasPlan:
    """Plan the training of biases within the budget of the options.

    Args:
        options: layers to bias and budget.
        task: costs of the task.

    Raises:
        UsageError: the budget is too small for a single training step.
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
    """Round a number of images down to whole parts of an epoch, unless it is below one part."""
    steps = math.ceil(train / AUTO_PARTS / AUTO_BATCH_SIZE)
    part = steps * AUTO_BATCH_SIZE
    return images // part * part or images
