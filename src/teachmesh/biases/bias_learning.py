"""Learn the biases of one task: train, encode, and keep them if they help on validation images.

The task mapper always uses latents without biases. Within the task, the decision uses the biased
network and a head that was trained together with the biases. With the task mapper `moments`, that
head reads the multi-depth latents. The decisions with and without biases are fused, with a weight
chosen on validation images. Biases that do not help on these images are dropped, unless the option
`keep` is `always`. The option `auto` trains no biases if almost all validation images are already
classified correctly.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.biases.activation_cache import CacheBudget, KeptActivations
from teachmesh.biases.bias_choice import Candidate, Trained, choose, gain_can_show, not_tried
from teachmesh.biases.bias_encoding import Kind, encode_biases
from teachmesh.biases.bias_head import TapLatents, mean_head
from teachmesh.biases.bias_layout import biasable_layers, choose_layers
from teachmesh.biases.bias_plan import BiasPlan, costs_of_task, plan_biases, plan_layers, smaller
from teachmesh.biases.bias_task import decode_rows
from teachmesh.biases.bias_training import (
    PIECE,
    BiasTrainer,
    Stage,
    TrainedBiases,
    TrainingRows,
)
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.biases.head2toe import Head2Toe, choose_maps
from teachmesh.mapping.fusion import WEIGHTS
from teachmesh.model.head_training import fit_head
from teachmesh.model.lanes import Lanes
from teachmesh.packet.bias_card import BiasCard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from teachmesh.biases.bias_choice import BiasStore
    from teachmesh.biases.bias_options import BiasOptions
    from teachmesh.biases.bias_task import BiasTask
    from teachmesh.biases.biased_network import PassCosts
    from teachmesh.data.images import ImageRef
    from teachmesh.data.loader import Progress
    from teachmesh.packet.bias_tensors import SkillBiases

ENCODING: Kind = "int8"


@dataclass(frozen=True, eq=False)
class LearnedBiases:
    """Result of learning the biases of one task.

    Attributes:
        card: description of the biases for the card of the skill.
        biases: biases for the skill; None if they did not help.
    """

    card: BiasCard
    biases: SkillBiases | None


def learn_biases(
    task: BiasTask,
    options: BiasOptions,
    *,
    store: BiasStore | None = None,
    progress: Progress | None = None,
) -> LearnedBiases:
    """Learn the biases of one task.

    Args:
        task: images, labels and the results without biases.
        options: layers to bias and budget.
        store: cache of trained biases, for resuming interrupted experiments; None for no cache.
        progress: called with (training images processed, training images planned).

    Raises:
        UsageError: the budget is too small for a single training step.
        DataError: an image can no longer be read.
    """
    forward = task.backbone.forward_pass
    layers = biasable_layers(forward.net, task.backbone.size)
    bb = BeneficialBiases(forward, choose_layers(layers, plan_layers(options)))
    small = smaller(forward, bb) if options.layers == "auto" else None
    sizes = costs_of_task(task, bb, small, head2toe=options.head2toe)
    plan = plan_biases(options, sizes)

    def train() -> Trained:
        return train_biases(task, plan, bb, small, progress, head2toe=options.head2toe)

    always = options.keep == "always"
    can_gain = always or gain_can_show(task.without, task.validation_labels)
    if options.layers == "auto" and not can_gain:
        chosen, macs = not_tried(task.without, task.validation_labels), 0
    else:
        found = train() if store is None else store.fetch(task, plan, options.head2toe, train)
        encoded = encode_biases(torch.from_numpy(found.values), bb.layout, bb.deviations, ENCODING)
        weights = WEIGHTS if task.method == "moments" else (1.0,)
        values = encoded.values, encoded.scales
        labels = task.validation_labels
        chosen = choose(found.head, values, task.without, labels, weights, always=always)
        macs = found.macs
    card = BiasCard(
        choice=options.layers,
        first_layer=bb.layout.first,
        layers=len(bb.layout.chosen),
        floats=bb.layout.total,
        features="head2toe" if options.head2toe else task.base,
        weight=chosen.weight,
        accuracy_without=chosen.accuracy_without,
        accuracy_with=chosen.accuracy_with,
        cost_macs=macs,
        passes=round(sizes.passes(macs), 4),
    )
    return LearnedBiases(card, chosen.biases)


def train_biases(
    task: BiasTask,
    plan: BiasPlan,
    bb: BeneficialBiases,
    small: BeneficialBiases | None = None,
    progress: Progress | None = None,
    *,
    head2toe: bool = False,
) -> Trained:
    """Train the biases, then compute the features of the validation images.

    Args:
        task: images, labels and the results without biases.
        plan: settings of the training.
        bb: the network with biases.
        small: the network with biases for smaller images; needed only if the plan has some.
        progress: called with (training images processed, training images planned).
        head2toe: True to fit a head to the feature maps with the largest biases (Sec. 7.3).

    Raises:
        DataError: an image can no longer be read.
    """
    reads = TapLatents(task.base, task.backbone.reference, bb.device)
    with ExitStack() as stack:
        budget = CacheBudget()
        keep = partial(_keep, stack, budget, bb)
        train = TrainingRows(keep(task.images.train), task.train_labels)
        validation = TrainingRows(keep(task.images.validation), task.validation_labels)
        trainer = BiasTrainer(bb, reads.smooth, task.start, plan, task.seed)
        stage = None
        if small is not None:
            rows = TrainingRows(_keep(stack, budget, small, task.images.train), task.train_labels)
            stage = Stage(small, rows)
        trained = trainer.train(train, validation, progress, small=stage)
        finish = _Finish(task, bb, trained, trainer.costs)
        candidate = (
            finish.head2toe(train, validation)
            if head2toe
            else finish.trained_head(reads, train.labels, validation)
        )
        macs = finish.macs + train.kept.macs + validation.kept.macs
    return Trained(trained.values, candidate, macs)


def _keep(
    stack: ExitStack, budget: CacheBudget, bb: BeneficialBiases, images: Sequence[ImageRef]
) -> KeptActivations:
    def decode(rows: np.ndarray) -> torch.Tensor:
        return decode_rows(images, rows, bb.size)

    return stack.enter_context(KeptActivations(bb, decode, len(images), budget))


class _Finish:
    """Compute the head to store with trained biases, and count the cost of computing it."""

    def __init__(
        self, task: BiasTask, bb: BeneficialBiases, trained: TrainedBiases, costs: PassCosts
    ) -> None:
        values = torch.from_numpy(trained.values)
        self.task = task
        self.bb = bb
        self.trained = trained
        self.costs = costs
        # The biases are rounded as in the skill, so that heads fit what other agents will use.
        encoded = encode_biases(values, bb.layout, bb.deviations, ENCODING)
        self.values = encoded.decode(bb.layout, bb.deviations)
        self.macs = trained.macs

    def trained_head(
        self, reads: TapLatents, labels: np.ndarray, validation: TrainingRows
    ) -> Candidate:
        """Return the head that was trained with the biases, averaged with its refit."""
        bb, values = self.bb, self.values
        head, spent = mean_head(self.trained.head, self.trained.seen, labels)
        self.macs += spent
        features = self._through(lambda kept: reads.exact(bb.suffix(kept, values)), validation)
        self.macs += len(validation) * self.costs.forward
        return Candidate(head, features)

    def head2toe(self, train: TrainingRows, validation: TrainingRows) -> Candidate:
        """Fit a head to the last layer and to the maps with the largest biases (Sec. 7.3)."""
        choice = choose_maps(self.bb.layout, self.values, self.bb.per_image)
        toe = Head2Toe(self.bb, self.values, choice)
        parts = [self._through(toe.features, split) for split in (train, validation)]
        self.macs += (len(train) + len(validation)) * self.bb.costs.forward
        labels = train.labels, validation.labels
        n_classes = len(self.trained.head.bias)
        fitted = fit_head(parts[0], labels[0], parts[1], labels[1], n_classes, seed=self.task.seed)
        self.macs += fitted.macs
        return Candidate(fitted.head, parts[1])

    def _through(
        self, work: Callable[[tuple[torch.Tensor, ...]], torch.Tensor], split: TrainingRows
    ) -> np.ndarray:
        """Return the features of all images of a split, in order."""
        rows = np.arange(len(split))
        parts = [rows[start : start + PIECE] for start in range(0, len(split), PIECE)]

        def run(kept: tuple[torch.Tensor, ...]) -> np.ndarray:
            with torch.no_grad():
                return np.asarray(work(kept).cpu().numpy())

        jobs = (partial(run, split.kept.rows(part)) for part in parts)
        with Lanes.over(self.bb.device) as lanes:
            return np.concatenate(list(lanes.run(jobs)))
