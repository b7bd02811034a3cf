"""Train the biases and the head of a task together (paper, Sec. 5), with the network frozen.

The paper uses Adam with batches of 32 images. By default, the learning rate is 1e-3 for the head
and 1e-2 for the biases (`BIAS_RATE`). The statistics of batch norms are frozen. Training
starts from a fitted head and zero biases, so the first decisions are exactly those without biases.

A batch is split into pieces of fixed size. Each piece is computed by a single-threaded lane, and
the gradients are summed in order. Therefore the result does not depend on the number of cores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from teachmesh.biases.bias_head import Reads, SeenLatents, costs_with_head
from teachmesh.data.loader import Progress
from teachmesh.model.forward_pass import Tensors
from teachmesh.model.head import Head
from teachmesh.model.head_training import Adam
from teachmesh.model.lanes import Lanes

if TYPE_CHECKING:
    from teachmesh.biases.bias_plan import BiasPlan
    from teachmesh.biases.biased_network import BeneficialBiases

PIECE = 8
"""Number of images per piece, at most half a batch, so that two lanes can share a batch."""
WARM_UP = 0.2
"""Fraction of training during which the learning rate rises; not used if the plan has patience."""
FIRST_SHARE = 0.04
"""Initial learning rate as a fraction of the peak rate."""


class KeptRows(Protocol):
    """Inputs of `BeneficialBiases.suffix` by row, for example `KeptActivations`."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates spent on computing the inputs so far."""

    def rows(self, rows: np.ndarray) -> Tensors:
        """Return the inputs for the given rows, as tensors with one row per image."""


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The network inputs and labels of all images in one split.

    Attributes:
        kept: inputs of `BeneficialBiases.suffix`.
        labels: (N,) int64 class indices.
    """

    kept: KeptRows
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Stage:
    """The network and the images for one stage of training.

    Attributes:
        bb: the network with biases, for images of the size used in this stage.
        rows: inputs and labels of the training images.
    """

    bb: BeneficialBiases
    rows: TrainingRows


@dataclass(frozen=True, eq=False)
class TrainedBiases:
    """Result of a training run.

    Attributes:
        values: tensor of B float32 biases in the paper's units.
        head: head trained together with the biases.
        images: number of training images processed, including repeats.
        macs: multiply-accumulates of passes through the biased part of the network.
        seen: most recent latents of the training images; empty unless the plan has `refit`.
    """

    values: np.ndarray
    head: Head
    images: int
    macs: int
    seen: SeenLatents


@dataclass
class _State:
    """Parameters being trained; `scaled` is in standard deviations of the following batch norm."""

    scaled: torch.Tensor  # (B,)
    weight: torch.Tensor  # (C, D)
    bias: torch.Tensor  # (C,)

    def parameters(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.scaled, self.weight, self.bias

    def copy(self) -> _State:
        return _State(*(parameter.detach().clone() for parameter in self.parameters()))


class BiasTrainer:
    """Train the biases and the head of one task.

    Args:
        bb: the network with biases.
        reads: function from taps to the latents that the head reads.
        head: head to start from.
        plan: settings of the training.
        seed: seed for the order of images.
    """

    def __init__(
        self, bb: BeneficialBiases, reads: Reads, head: Head, plan: BiasPlan, seed: int = 0
    ) -> None:
        self._bb = bb
        self._reads = reads
        self._plan = plan
        self._generator = torch.Generator().manual_seed(seed)
        device = bb.device
        parameters = (
            torch.zeros(bb.layout.total),
            torch.tensor(head.weight, dtype=torch.float32),
            torch.tensor(head.bias, dtype=torch.float32),
        )
        self._state = _State(*(p.to(device).requires_grad_() for p in parameters))
        self._deviations = bb.deviations.to(device)
        self._optimizers = [Adam(parameter) for parameter in self._state.parameters()]
        self._seen = SeenLatents()
        self._count = partial(costs_with_head, reads=reads, head=head)
        self.costs = self._count(bb)
        self.macs = 0

    def train(
        self,
        train: TrainingRows,
        validation: TrainingRows,
        progress: Progress | None = None,
        *,
        small: Stage | None = None,
    ) -> TrainedBiases:
        """Train on the planned number of images, or until patience runs out.

        Args:
            train: images of the training split.
            validation: images to validate on after every epoch; used only if the plan has patience.
            progress: called with (training images processed, training images planned).
            small: network and training images at a smaller size, for the first steps; or None.
        """
        whole = Stage(self._bb, train)
        costs = {whole: self.costs} | ({} if small is None else {small: self._count(small.bb)})
        best, best_score, waited, done = self._state.copy(), -1.0, 0, 0
        with Lanes.over(self._bb.device) as lanes:
            for rows, ends_epoch in self._batches(len(train)):
                stage = whole if small is None or done >= self._plan.small_images else small
                self._step(stage, rows, self._rate_share(done), lanes)
                self.macs += len(rows) * (costs[stage].forward + costs[stage].backward)
                done += len(rows)
                if progress is not None:
                    progress(done, self._plan.images)
                if not ends_epoch or self._plan.patience is None:
                    continue
                score = self._accuracy(validation, lanes)
                waited = 0 if score > best_score else waited + 1
                if score > best_score:
                    best, best_score = self._state.copy(), score
                if waited >= self._plan.patience:
                    break
        chosen = self._state.copy() if best_score < 0 else best
        return TrainedBiases(
            (chosen.scaled * self._deviations).cpu().numpy(),
            Head(chosen.weight.cpu().numpy(), chosen.bias.cpu().numpy()),
            done,
            self.macs,
            self._seen,
        )

    def _batches(self, n: int) -> Iterator[tuple[np.ndarray, bool]]:
        """Yield batches of rows in random order, each with True if it is the last of its epoch."""
        left = self._plan.images
        while left > 0:
            order = torch.randperm(n, generator=self._generator).numpy()[:left]
            for start in range(0, len(order), self._plan.batch_size):
                rows = order[start : start + self._plan.batch_size]
                yield rows, start + len(rows) == n
            left -= len(order)

    def _rate_share(self, done: int) -> float:
        """Return the current fraction of the peak rates (always 1 if the plan has patience)."""
        if self._plan.patience is not None:
            return 1.0
        at = done / self._plan.images
        if at < WARM_UP:
            return FIRST_SHARE + (1 - FIRST_SHARE) * at / WARM_UP
        return 0.5 + 0.5 * math.cos(math.pi * (at - WARM_UP) / (1 - WARM_UP))

    def _step(self, stage: Stage, rows: np.ndarray, share: float, lanes: Lanes) -> None:
        """Take one step of Adam at a fraction of the peak rates."""
        pieces = self._pieces(rows, lanes)
        kept, labels = stage.rows.kept, stage.rows.labels
        jobs = (
            partial(self._gradients, stage.bb, kept.rows(part), labels[part]) for part in pieces
        )
        found = list(lanes.run(jobs))
        if self._plan.refit and stage.bb is self._bb:
            self._seen.keep(rows, torch.cat([latents for *_, latents in found]))
        rates = (self._plan.bias_rate, self._plan.head_rate, self._plan.head_rate)
        for index, (optimizer, rate) in enumerate(zip(self._optimizers, rates, strict=True)):
            total = torch.stack([gradients[index] for gradients in found]).sum(0)
            optimizer.step(total / len(rows), share * rate)

    def _gradients(self, bb: BeneficialBiases, kept: Tensors, labels: np.ndarray) -> Tensors:
        """Return the gradients of the summed cross-entropy, and the latents (N, D)."""
        state = self._state
        with torch.enable_grad():
            latents = self._reads(bb.suffix(kept, state.scaled * self._deviations))
            target = torch.from_numpy(labels).to(latents.device)
            logits = latents @ state.weight.T + state.bias
            loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
            return *torch.autograd.grad(loss, state.parameters()), latents.detach()

    def _accuracy(self, split: TrainingRows, lanes: Lanes) -> float:
        """Return the accuracy on a split with the current head and biases."""
        state = self._state.copy()
        values = state.scaled * self._deviations
        pieces = self._pieces(np.arange(len(split)), lanes)

        def right(kept: Tensors, labels: np.ndarray) -> int:
            with torch.no_grad():
                latents = self._reads(self._bb.suffix(kept, values))
                answers = (latents @ state.weight.T + state.bias).argmax(1).cpu().numpy()
            return int(np.sum(answers == labels))

        jobs = (partial(right, split.kept.rows(part), split.labels[part]) for part in pieces)
        counts = lanes.run(jobs)
        self.macs += len(split) * self.costs.forward
        return sum(counts) / len(split)

    def _pieces(self, rows: np.ndarray, lanes: Lanes) -> list[np.ndarray]:
        step = min(PIECE, self._plan.batch_size // 2) if lanes.count else self._plan.batch_size
        return [rows[start : start + step] for start in range(0, len(rows), step)]
