"""Base class of the trained baselines: the hooks of the training loop (`training_loop`).

Every baseline trains the whole network and has one linear head per task. At test time it is told
which task an image belongs to. The paper gives its baselines this perfect task oracle (Sec. 6), but
its own method works without an oracle.
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
BatchPart = tuple[int, Tensor]
"""Position of a task, and the (B,) rows of its images in a batch."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training images of a task, kept while the task is being learned.

    Attributes:
        images: the images as an (N, 3, S, S) uint8 array.
        labels: class index of each image, as an (N,) int64 array.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Baseline:
    """Sequential fine-tuning. The other baselines override some of these hooks.

    Order of calls:

    1. `begin` for each task of a group.
    2. `warm_up` for each task of the group.
    3. For every batch: `batch_loss`, backward pass, `before_step`, optimiser step, `after_step`.
    4. `end` for each task, which drops the task's images unless the baseline keeps some of them.

    Attributes:
        source: publication of the method.
        grid: candidate values of each hyper-parameter, from the weakest to the strongest
            regularisation, because ties take the last. A single value is not tuned.
        shares_trunk: whether all heads read the same latents. If so, the method can also answer
            without an oracle: it chooses the class with the largest logit of all heads.
        isolated: whether later tasks cannot change the answers for a finished task.
        together: whether all tasks are learned at once.
        parallel: whether agents can learn tasks independently and exchange the results.
        data: training images of the tasks being learned, by the task's position in the stream.
    """

    source: ClassVar[str]
    grid: ClassVar[Grid] = {}
    shares_trunk: ClassVar[bool] = True
    isolated: ClassVar[bool] = False
    together: ClassVar[bool] = False
    parallel: ClassVar[bool] = False

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        settled = {name: values[0] for name, values in self.grid.items() if len(values) == 1}
        self.net, self.hyper, self.seed = net, settled | dict(hyper), seed
        self.data: dict[int, TrainingSet] = {}

    @property
    def rate_factor(self) -> float:
        """Factor that multiplies the learning rate."""
        return 1.0

    def trunk_parameters(self) -> list[nn.Parameter]:
        """Return all weights below the heads, in network order."""
        return list(self.net.trunk.parameters())

    def parameters(self, indices: Sequence[int]) -> list[nn.Parameter]:
        """Return the parameters to train while the tasks `indices` are learned."""
        heads = [p for index in indices for p in self.net.head(index).parameters()]
        return [*self.trunk_parameters(), *heads]

    def begin(self, index: int, task: PixelTask) -> None:
        """Start a task: store its images and add a head for it."""
        self.data[index] = TrainingSet(
            torch.from_numpy(task.train.images), torch.from_numpy(task.train.labels)
        )
        self.net.add_head(index, len(task.classes))

    def warm_up(self, index: int, batch_size: int, rate: float) -> None:
        """Prepare the head of a task before the first epoch; does nothing by default.

        Args:
            index: position of the task, for which `begin` was called.
            batch_size: number of images per step.
            rate: learning rate of Adam.
        """

    def loss(self, index: int, rows: Tensor) -> Tensor:
        """Return the mean loss (nats) for the images `rows` of task `index`."""
        data = self.data[index]
        latents = self.net.latents(data.images[rows])
        self.net.costs.training_pass(len(rows), [(len(rows), self.net.classes(index))])
        return self.net.cross_entropy(latents, index, data.labels[rows]) / len(rows)

    def batch_loss(self, parts: Sequence[BatchPart]) -> Tensor:
        """Return the mean loss (nats) of one batch, given as (task, rows) pairs.

        There is one pair, unless the baseline learns several tasks at once.
        """
        ((index, rows),) = parts
        return self.loss(index, rows)

    def before_step(self) -> None:
        """Add the gradients of penalties to the gradients of the loss."""

    def after_step(self) -> None:
        """Update statistics after the optimiser has changed the parameters."""

    def end(self, index: int) -> None:
        """Finish a task and drop its images."""
        del self.data[index]

    @property
    def answers_stay(self) -> bool:
        """Whether answers for a finished task stay the same, so that they are computed once."""
        return self.isolated

    def infer(self, images: Tensor) -> np.ndarray | None:  # noqa: ARG002 - the hook's signature
        """Return the (N,) int64 positions of the tasks that the method infers for images.

        The result is None if the method does not infer tasks, or if it does so by the largest logit
        of all heads (`shares_trunk`).
        """
        return None

    def select(self, index: int) -> None:
        """Switch to task `index` before its images are classified."""

    def task_bytes(self, index: int) -> int | None:  # noqa: ARG002 - the hook's signature
        """Return the number of bytes that every other agent receives for one task.

        The result is None if tasks cannot be learned independently.
        """
        return None

    def state(self) -> dict[str, np.ndarray]:
        """Return the named arrays that a second agent needs to answer and to continue learning.

        Values that can be derived from the seed or the common initial network are omitted.
        """
        arrays = {name: parameter_array(p) for name, p in self.net.named_parameters()}
        norms = enumerate(self.net.norm_statistics)
        return arrays | {f"norms.{number}": parameter_array(tensor) for number, tensor in norms}


def parameter_array(parameter: Tensor) -> np.ndarray:
    """Return a parameter as an array, as it would be sent to another agent."""
    return np.asarray(parameter.detach().cpu().numpy())
