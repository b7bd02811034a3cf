"""What a trained baseline is: hooks around one training loop (`loop`).

Every baseline trains the whole network, has one linear head per task, and is told at test time
which task an image belongs to: the perfect task oracle that the paper grants its baselines
(Sec. 6), and does not take for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead

Hyper = Mapping[str, float]
Grid = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training images of a task, as long as it is being learned.

    Attributes:
        images: (N, 3, S, S) uint8.
        labels: (N,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Baseline:
    """Sequential fine-tuning; everything else overrides a hook or two.

    The order of calls: `begin` for each task of a group, then for every batch `loss`, backward
    pass, `before_step`, step, `after_step`, and `end` for each task. Images of a task that has
    ended are gone, unless a baseline keeps some.

    Attributes:
        source: who published it, and where.
        grid: values of each hyper-parameter that are tried on validation images; where there is
            one value, it is fixed.
        shares_trunk: all heads read the same latents, so that the method can also answer without
            oracle, by the largest logit of all heads.
        isolated: what was learned of a task cannot change any more.
        together: all tasks are learned at once.
        parallel: agents can learn tasks on their own and exchange what they learned.
        data: training images of the tasks that are being learned.
    """

    source: ClassVar[str]
    grid: ClassVar[Grid] = {}
    shares_trunk: ClassVar[bool] = True
    isolated: ClassVar[bool] = False
    together: ClassVar[bool] = False
    parallel: ClassVar[bool] = False

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        self.net, self.hyper, self.seed = net, dict(hyper), seed
        self.data: dict[int, TrainingSet] = {}

    @property
    def rate_factor(self) -> float:
        """What the learning rate is multiplied by."""
        return 1.0

    def trunk_parameters(self) -> list[nn.Parameter]:
        """All weights below the heads, in the order of the network."""
        return list(self.net.trunk.parameters())

    def parameters(self, indices: Sequence[int]) -> list[nn.Parameter]:
        """What is trained while the tasks `indices` are learned."""
        heads = [p for index in indices for p in self.net.head(index).parameters()]
        return [*self.trunk_parameters(), *heads]

    def begin(self, index: int, task: PixelTask) -> None:
        """A task arrives: its images, and a head."""
        self.data[index] = TrainingSet(
            torch.from_numpy(task.train.images), torch.from_numpy(task.train.labels)
        )
        self.net.add_head(index, len(task.classes))

    def loss(self, index: int, rows: Tensor) -> Tensor:
        """Mean loss in nats of one batch: rows of the images of task `index`."""
        data = self.data[index]
        latents = self.net.latents(data.images[rows])
        self.net.costs.training_pass(len(rows), [(len(rows), self.net.classes(index))])
        return self.net.cross_entropy(latents, index, data.labels[rows]) / len(rows)

    def before_step(self) -> None:
        """Gradients of the loss are there; penalties add theirs."""

    def after_step(self) -> None:
        """Parameters have moved."""

    def end(self, index: int) -> None:
        """A task has been learned; its images go."""
        del self.data[index]

    def select(self, index: int) -> None:
        """The oracle says that images of task `index` come next."""

    def task_bytes(self, index: int) -> int | None:  # noqa: ARG002 - the hook's signature
        """What every other agent receives for one task; None if tasks need one another."""
        return None

    def state(self) -> dict[str, np.ndarray]:
        """What a second agent would need to answer and to learn on, by name.

        What follows from the seed or from the network that all agents begin with is not in it.
        """
        return {name: parameter_array(p) for name, p in self.net.named_parameters()}


def parameter_array(parameter: Tensor) -> np.ndarray:
    """A parameter as it would travel."""
    return np.asarray(parameter.detach().cpu().numpy())
