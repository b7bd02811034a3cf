"""`er`: Experience Replay with 10 images per class.

After each task, 10 images per class are kept in a buffer of unlimited size, as in the paper
(Sec. 6). While a new task is learned, every batch is extended by random images from the buffer.
Each of these old images is classified by its own task's head. The number of old images per batch is

- equal to the number of new images, by default, so that a task costs twice its own images; or
- as many as an epoch needs to replay the whole buffer `passes` times, so that later tasks cost
  more. The paper's Fig. 9 has 2.90 times the cost of LwF.

References:
    [1] Robins, Catastrophic forgetting, rehearsal and pseudorehearsal, Connection Science 1995.
    [2] Rebuffi et al., iCaRL, CVPR 2017; Chaudhry et al., On tiny episodic memories, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from teachmesh_lab.baselines.baseline import Baseline, Grid, Hyper, TrainingSet
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.multihead import MultiHead, mixed_loss
from teachmesh_lab.baselines.seeding import make_generator


@final
class ExperienceReplay(Baseline):
    """Replay of old images.

    At most `images_per_class` images of each class are kept. `passes` is the number of times that
    an epoch uses the buffer; 0 replays one old image for every new one.
    """

    source: ClassVar[str] = "Robins 1995; 10 images per class as in the paper, Sec. 6"
    grid: ClassVar[Grid] = {"images_per_class": (10.0,), "passes": (0.0,)}

    def __init__(self, net: MultiHead, hyper: Hyper, seed: int) -> None:
        super().__init__(net, hyper, seed)
        self.buffer: dict[int, TrainingSet] = {}
        self._places = torch.zeros(0, 2, dtype=torch.int64)  # (task, row) of each old image
        self._generator = make_generator(seed, "replay", 0)

    def begin(self, index: int, task: PixelTask) -> None:
        """Start a task and list the images in the buffer."""
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
        """Return the parameters of the trunk, the new head and the old heads."""
        return super().parameters([*self.buffer, *indices])

    def loss(self, index: int, rows: Tensor) -> Tensor:
        """Return the mean cross-entropy of new and old images, each under its own task's head."""
        data = self.data[index]
        old = self._replay(self.replays(index, len(rows)))
        return mixed_loss(self.net, [(index, data.images[rows], data.labels[rows]), *old])

    def replays(self, index: int, n: int) -> int:
        """Return the number of old images in a batch with n new images of the task `index`."""
        passes = self.hyper["passes"]
        if not passes:
            return n
        return math.ceil(n * passes * len(self._places) / len(self.data[index]))

    def end(self, index: int) -> None:
        """Finish a task and keep at most `images_per_class` images of every class."""
        data = self.data[index]
        quota = int(self.hyper["images_per_class"])
        order = torch.randperm(len(data), generator=make_generator(self.seed, "buffer", index))
        labels = data.labels[order]
        kept = [order[labels == c][:quota] for c in range(self.net.classes(index))]
        rows = torch.cat(kept)
        self.buffer[index] = TrainingSet(data.images[rows].clone(), data.labels[rows].clone())
        super().end(index)

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights and the buffer."""
        kept = {
            f"buffer.{index}.{part}": np.asarray(tensor.numpy())
            for index, data in self.buffer.items()
            for part, tensor in (("images", data.images), ("labels", data.labels))
        }
        return super().state() | kept

    def _replay(self, n: int) -> list[tuple[int, Tensor, Tensor]]:
        """Draw at most n images from the buffer; return (task, images, labels) per drawn task."""
        drawn = torch.randperm(len(self._places), generator=self._generator)[:n]
        places = self._places[drawn]
        return [
            (task, self.buffer[task].images[rows], self.buffer[task].labels[rows])
            for task in sorted(set(places[:, 0].tolist()))
            for rows in [places[places[:, 0] == task, 1]]
        ]
