"""`er`: Experience Replay with 10 images per class.

After each task some of its images stay in a buffer without bound, as in the paper (Sec. 6): 10 per
class. While a new task is learned, every batch is joined by as many images of the buffer, drawn at
random, each with its own task's head.

References:
    [1] Robins, Catastrophic forgetting, rehearsal and pseudorehearsal, Connection Science 1995.
    [2] Rebuffi et al., iCaRL, CVPR 2017; Chaudhry et al., On tiny episodic memories, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper, TrainingSet
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.seeding import make_generator


@final
class ExperienceReplay(Baseline):
    """Old images among the new ones. `images_per_class` of each stay, or all if there are fewer."""

    source: ClassVar[str] = "Robins 1995; 10 images per class as in the paper, Sec. 6"
    grid: ClassVar[Grid] = {"images_per_class": (10.0,)}

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.buffer: dict[int, TrainingSet] = {}
        self._places = torch.zeros(0, 2, dtype=torch.int64)  # (task, row) of every kept image
        self._generator = make_generator(seed, "replay", 0)

    def begin(self, index: int, task: PixelTask) -> None:
        """List what the buffer holds."""
        super().begin(index, task)
        self._generator = make_generator(self.seed, "replay", index)
        if self.buffer:
            self._places = torch.cat(
                [
                    torch.stack([torch.full((len(kept),), old), torch.arange(len(kept))], 1)
                    for old, kept in self.buffer.items()
                ]
            )

    def parameters(self, indices: Sequence[int]) -> list[nn.Parameter]:
        """Trunk, new head and old heads."""
        return super().parameters([*self.buffer, *indices])

    def loss(self, index: int, rows: Tensor) -> Tensor:
        """Mean cross-entropy of new and replayed images, each with its task's head."""
        data = self.data[index]
        parts = [(index, data.images[rows], data.labels[rows]), *self._replay(len(rows))]
        latents = self.net.latents(torch.cat([images for _, images, _ in parts]))
        heads = [(len(labels), self.net.classes(task)) for task, _, labels in parts]
        self.net.costs.training_pass(len(latents), heads)
        loss = latents.new_zeros(())
        split = torch.split(latents, [len(labels) for _, _, labels in parts])
        for (task, _, labels), own in zip(parts, split, strict=True):
            loss = loss + self.net.cross_entropy(own, task, labels)
        return loss / len(latents)

    def end(self, index: int) -> None:
        """Keep the quota of every class."""
        data = self.data[index]
        quota = int(self.hyper["images_per_class"])
        order = torch.randperm(len(data), generator=make_generator(self.seed, "buffer", index))
        labels = data.labels[order]
        kept = [order[labels == c][:quota] for c in range(self.net.classes(index))]
        rows = torch.cat(kept)
        self.buffer[index] = TrainingSet(data.images[rows].clone(), data.labels[rows].clone())
        super().end(index)

    def state(self) -> dict[str, np.ndarray]:
        """Weights and the buffer."""
        kept = {
            f"buffer.{index}.{part}": np.asarray(tensor.numpy())
            for index, data in self.buffer.items()
            for part, tensor in (("images", data.images), ("labels", data.labels))
        }
        return super().state() | kept

    def _replay(self, n: int) -> list[tuple[int, Tensor, Tensor]]:
        """(task, images, labels) of n images of the buffer, grouped by task."""
        drawn = torch.randperm(len(self._places), generator=self._generator)[:n]
        places = self._places[drawn]
        return [
            (task, self.buffer[task].images[rows], self.buffer[task].labels[rows])
            for task in sorted(set(places[:, 0].tolist()))
            for rows in [places[places[:, 0] == task, 1]]
        ]
