"""`lwf`: Learning without Forgetting.

Before a new task is learned, the outputs of all old heads for the new task's images are recorded.
While the network learns the new task, its old heads are trained to keep giving these outputs. The
loss is L_new + lambda sum_old CE(p_old^(1/T), p^(1/T)) with temperature T = 2 ([1], Eq. 1-4 and
Fig. 3). With several old tasks, their losses are summed.

In a warm-up, the new head is trained alone before everything is trained together ([1], Fig. 3). The
network does not change meanwhile, so the recorded latents serve and no image passes it again. The
first task needs no warm-up, because there is nothing to protect.

References:
    [1] Li and Hoiem, Learning without forgetting, TPAMI 2017.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from teachmesh.model.head_training import Adam
from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead, head_rows
from teachmesh_lab.baselines.seeding import make_generator


@final
class Lwf(Baseline):
    """Distillation from the old network.

    `strength` is lambda, `temperature` is T, and `warm_up` is the number of epochs in which the new
    head is trained alone.
    """

    source: ClassVar[str] = "Li and Hoiem, TPAMI 2017, Eq. 1-4"
    grid: ClassVar[Grid] = {
        "strength": (1.0, 3.0, 10.0),
        "temperature": (2.0,),
        "warm_up": (1.0,),
    }

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.old_tasks: list[int] = []
        self.old_heads: dict[int, nn.Linear] = {}
        self.old_latents = torch.zeros(0, net.dim)

    def begin(self, index: int, task: PixelTask) -> None:
        """Start a task; save the old heads and the old network's latents for the task's images."""
        super().begin(index, task)
        self.old_heads = {old: copy.deepcopy(self.net.head(old)) for old in self.old_tasks}
        # Keep latents and old heads instead of logits. This needs less memory, because the heads of
        # many tasks together have more classes than a latent has dimensions.
        images = self.data[index].images
        if self.old_tasks:
            with torch.no_grad():
                self.old_latents = torch.cat([self.net.latents(p) for p in torch.split(images, 64)])
            self.net.costs.forward_pass(len(images))

    def warm_up(self, index: int, batch_size: int, rate: float) -> None:
        """Train the new head alone, on the old network's latents."""
        if not self.old_tasks:
            return
        labels = self.data[index].labels.to(self.net.device)
        optimizers = [Adam(p, divide=True) for p in self.net.head(index).parameters()]
        generator = make_generator(self.seed, "warm-up", index)
        for _ in range(int(self.hyper["warm_up"])):
            for rows in torch.split(torch.randperm(len(labels), generator=generator), batch_size):
                loss = self.net.cross_entropy(self.old_latents[rows], index, labels[rows])
                gradients = torch.autograd.grad(
                    loss / len(rows), [optimizer.parameter for optimizer in optimizers]
                )
                for optimizer, gradient in zip(optimizers, gradients, strict=True):
                    optimizer.step(gradient, rate)
                # Forward and backward passes of the head: two products, as many as two heads.
                self.net.costs.head_pass(head_rows(self.net, 2 * len(rows), [index]))

    def parameters(self, indices: Sequence[int]) -> list[nn.Parameter]:
        """Return the parameters of the trunk, the new head and the old heads."""
        return super().parameters([*self.old_tasks, *indices])

    def old_logits(self, old: int, rows: Tensor) -> Tensor:
        """Return an old head's (B, C) logits for new images, from the old network's latents."""
        with torch.no_grad():
            return self.old_heads[old](self.old_latents[rows])  # type: ignore[no-any-return]

    def loss(self, index: int, rows: Tensor) -> Tensor:
        """Return the cross-entropy with the labels plus the distillation loss of the old heads."""
        data, net = self.data[index], self.net
        latents = net.latents(data.images[rows])
        net.costs.training_pass(len(rows), head_rows(net, len(rows), [*self.old_tasks, index]))
        net.costs.head_pass(head_rows(net, len(rows), self.old_tasks))
        loss = net.cross_entropy(latents, index, data.labels[rows])
        temperature = self.hyper["temperature"]
        for old in self.old_tasks:
            targets = (self.old_logits(old, rows) / temperature).softmax(1)
            answers = net.logits(latents, old) / temperature
            kept = functional.cross_entropy(answers, targets, reduction="sum")
            loss = loss + self.hyper["strength"] * kept
        return loss / len(rows)

    def end(self, index: int) -> None:
        """Finish a task and add it to the old tasks."""
        self.old_tasks.append(index)
        self.old_heads, self.old_latents = {}, torch.zeros(0, self.net.dim)
        super().end(index)
