"""How the biases of one task are trained: the paper's way, or within a budget of forward passes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from teachmesh.biases.bias_head import TapLatents, refit_macs
from teachmesh.biases.bias_options import DEFAULT_PASSES, BiasOptions
from teachmesh.biases.bias_training import costs_with_head
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
"""Many steps, and few steps have to go far: the validation images of eight tasks say so
(docs/biases.md)."""
AUTO_STEPS = 8_000
"""Steps beyond which a large task learns nothing more: it then uses fewer passes."""
AUTO_PARTS = 20
"""Of an epoch: steps are afforded in such parts, so that the little by which one task mapper costs
more to fit than another does not give its biases other steps, and experiments train them once."""
SMALL_SIDE = 0.75
"""Side of the smaller images that `auto` begins with, as a share of the backbone's own."""
SMALL_SHARE = 0.7
"""Share of `auto`'s training images that are smaller: they cost about half."""


@dataclass(frozen=True)
class BiasPlan:
    """What training does.

    Attributes:
        layers: name of the layers for `choose_layers`.
        images: training images to step over, repeats counted.
        patience: epochs without a gain on validation images before it ends, the rate being
            constant; None looks at validation images at the end only, the rate falling to zero.
        batch_size: images per step.
        bias_rate: Adam's (highest) rate on biases.
        head_rate: the same on the head.
        small_images: how many of `images`, the first ones, are seen at `SMALL_SIDE`.
        refit: the trained head ends as the mean of itself and one in closed form.
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
    """Sizes that a budget is counted in.

    Attributes:
        pass_macs: multiply-accumulates of one image without biases, projection included.
        costs: of the passes with biases.
        train: number of training images.
        validation: number of validation images.
        before: multiply-accumulates that learning has spent already: the pass without biases, and
            what was fitted to its latents.
        small: of the passes over smaller images; None where the network takes one size only.
        after: multiply-accumulates that fitting a head takes once biases are trained.
    """

    pass_macs: int
    costs: PassCosts
    train: int
    validation: int
    before: int
    small: PassCosts | None = None
    after: int = 0

    def passes(self, macs: int) -> float:
        """Multiply-accumulates as forward passes over all images of the task."""
        return macs / (self.pass_macs * (self.train + self.validation))

    def affordable_images(
        self,
        passes: float,
        *,
        epochs_validated: bool,
        ends_with_train: bool,
        small_share: float = 0,
    ) -> int:
        """Training images that a budget allows to step over, all else being paid.

        Args:
            passes: the whole budget, what was spent before included.
            epochs_validated: validation images are looked at after every epoch.
            ends_with_train: the training images are run once more in the end, as validation images
                are in any case.
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


def plan_layers(options: BiasOptions) -> str:
    """The layers that will be biased: early layers are what a far task needs, so `auto` takes all.

    Biases on the later half, at twice the epochs for the same cost: log loss on validation images
    0.526 where all layers gave 0.475 (oracle bones), 0.689 where they gave 0.689 (trash).
    """
    return "all" if options.layers == "auto" else options.layers


def plan_biases(options: BiasOptions, task: TaskCosts) -> BiasPlan:
    """Decide on everything but the layers.

    Args:
        options: what was asked for.
        task: what it will cost.

    Raises:
        UsageError: the budget does not even pay for one step.
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
    """As many parts of an epoch, each of whole steps, as the images fill; fewer as they are."""
    steps = math.ceil(train / AUTO_PARTS / AUTO_BATCH_SIZE)
    part = steps * AUTO_BATCH_SIZE
    return images // part * part or images


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
