"""`ewc`: Elastic Weight Consolidation.

Weights that matter for the likelihood of old tasks are pulled back to their old values. The loss of
a new task B gets the penalty sum_A lambda/2 sum_k F_Ak (x_k - x*_Ak)^2, with one term per old task
A ([1], Eq. 3).

F is the diagonal of the Fisher information: the mean over images of the squared gradient of log p(y
| image). The label y is drawn from the network's own prediction. With the true label, F would be
the *empirical* Fisher matrix, which vanishes when the task is learned perfectly.

References:
    [1] Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks, PNAS 2017.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper, parameter_array
from teachmesh_lab.baselines.multihead import MultiHead, head_rows
from teachmesh_lab.baselines.quadratic import Quadratic
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.sensitivity import mean_sensitivity, some_rows


@final
class Ewc(Baseline):
    """EWC with one quadratic term per old task.

    `strength` is lambda. F is estimated from at most `images` training images of a task.
    """

    source: ClassVar[str] = "Kirkpatrick et al., PNAS 2017, Eq. 3"
    grid: ClassVar[Grid] = {"strength": (100.0, 1000.0, 10000.0), "images": (256.0,)}

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.penalty = Quadratic(self.trunk_parameters())

    def before_step(self) -> None:
        """Add the gradient of the penalty, which pulls weights towards their old values."""
        self.penalty.pull(self.hyper["strength"])

    def end(self, index: int) -> None:
        """Measure the importance of each weight for this task, then finish the task."""
        self.penalty.add_centred_here(fisher_of_task(self, index))
        super().end(index)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights, and the importances and centres of the penalty."""
        return super().state() | penalty_state(self.penalty, with_centre=True)


def fisher_of_task(baseline: Baseline, index: int) -> list[Tensor]:
    """Estimate the Fisher diagonal of the task just learned, from some of its images."""
    net, data = baseline.net, baseline.data[index]
    generator = make_generator(baseline.seed, "fisher", index)
    images = data.images[some_rows(len(data), baseline.hyper["images"], generator)]
    return diagonal_fisher(net, index, images, own_labels(net, index, images, generator))


def own_labels(net: MultiHead, index: int, images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw (N,) labels from the network's own predictions."""
    with torch.no_grad():
        chances = torch.cat(
            [net.logits(net.latents(part), index).softmax(1) for part in torch.split(images, 64)]
        )
    net.costs.forward_pass(len(images), head_rows(net, len(images), [index]))
    return torch.multinomial(chances.cpu(), 1, generator=generator)[:, 0]


def diagonal_fisher(net: MultiHead, index: int, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Return the mean over images of the squared gradient of log p(label | image).

    Args:
        net: the network.
        index: position of the task.
        images: the images as an (N, 3, S, S) uint8 tensor.
        labels: (N,) int64 labels; drawn from p for the Fisher information, or the true labels for
            the empirical Fisher information.

    Returns:
        One tensor per parameter of the trunk, with the parameter's shape.
    """
    return mean_sensitivity(net, index, images, labels, _log_likelihood, torch.square)


def penalty_state(penalty: Quadratic, *, with_centre: bool) -> dict[str, np.ndarray]:
    """Return the arrays of a penalty that are sent to another agent.

    The centre is needed only if it differs from the weights after the last task.
    """
    parts = {"importance": penalty.importance}
    if with_centre:
        parts["centre"] = penalty.centre
    return {
        f"{part}.{number}": parameter_array(tensor)
        for part, tensors in parts.items()
        for number, tensor in enumerate(tensors)
    }


def _log_likelihood(logits: Tensor, label: Tensor) -> Tensor:
    # Sum over classes, because indexing by a tensor has no batching rule for gradients.
    chosen = torch.arange(len(logits), device=logits.device) == label
    return (logits.log_softmax(0) * chosen).sum()
