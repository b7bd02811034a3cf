"""Tiny generated tasks and tiny networks, for tests of the baselines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from teachmesh_lab.baselines.baseline import Baseline
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.image_stream import (
    LatentSplit,
    LatentTask,
    PixelSplit,
    PixelTask,
)
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.training_loop import Schedule, learn

SIZE = 8
QUICK = Schedule(epochs=2, batch_size=8, rate=0.01)


class TinyNet(nn.Module):
    """Two convolutions, the second in groups, and a norm; 16 latents of an 8 px image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.second = nn.Conv2d(8, 16, 3, 1, 1, groups=2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.first(images * 2 - 1)))
        return functional.relu(self.second(x)).flatten(2).mean(2)


def tiny_net(_: int) -> nn.Module:
    """Build a tiny network; a factory for `run_trained`."""
    return TinyNet()


def multi_head(seed: int = 0) -> MultiHead:
    """Make a fresh tiny network without heads."""
    return MultiHead(build_net(tiny_net, seed), SIZE, seed)


def make_task(number: int, *, n_classes: int = 3, per_class: int = 8) -> PixelTask:
    """Make a task whose classes are noisy colours; every task has its own colours."""
    rng = np.random.default_rng([7, number])
    colours = rng.integers(0, 256, (n_classes, 3, 1, 1))

    def split(n: int) -> PixelSplit:
        labels = np.arange(n * n_classes, dtype=np.int64) % n_classes
        noise = rng.normal(0, 25, (len(labels), 3, SIZE, SIZE))
        pixels = np.clip(colours[labels] + noise, 0, 255).astype(np.uint8)
        return PixelSplit(pixels, labels)

    classes = tuple(f"colour {c}" for c in range(n_classes))
    return PixelTask(f"task {number}", classes, split(per_class), split(4), split(5))


def make_stream(n_tasks: int = 3) -> list[PixelTask]:
    """Make tasks of 3, 2, 3, 2, ... classes."""
    return [make_task(number, n_classes=3 - number % 2) for number in range(n_tasks)]


def learn_all(baseline: Baseline, stream: list[PixelTask], schedule: Schedule = QUICK) -> Baseline:
    """Learn a stream without answering."""
    for index, task in enumerate(stream):
        baseline.begin(index, task)
        learn(baseline, [index], schedule)
        baseline.end(index)
    return baseline


def weights(net: nn.Module) -> dict[str, Tensor]:
    """Copy all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def same_bits(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    """Return whether names and bytes are equal."""
    return one.keys() == two.keys() and all(
        one[name].numpy().tobytes() == two[name].numpy().tobytes() for name in one
    )


def largest_change(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """Return the largest absolute change of any weight of the trunk."""
    names = [name for name in one if name.startswith("trunk.")]
    return max(float((one[name] - two[name]).abs().max()) for name in names)


def random_images(n: int, seed: int = 0) -> Tensor:
    """Draw (n, 3, 8, 8) uint8 images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)


def make_latent_stream(n_tasks: int = 3, dim: int = 12) -> list[LatentTask]:
    """Make tasks of 3, 2, 3, ... correlated Gaussian classes, clipped at 0 like activations."""
    rng = np.random.default_rng(11)
    mixing = rng.normal(0, 0.4, (dim, dim))
    tasks = []
    for number in range(n_tasks):
        n_classes = 3 - number % 2
        means = rng.normal(1.5, 1.0, (n_classes, dim))

        def split(n: int, means: np.ndarray = means) -> LatentSplit:
            labels = rng.permutation(np.arange(n * len(means), dtype=np.int64) % len(means))
            latents = means[labels] + rng.normal(0, 1, (len(labels), dim)) @ mixing
            return LatentSplit(np.maximum(latents, 0).astype(np.float32), labels)

        classes = tuple(f"class {c}" for c in range(n_classes))
        splits = split(20 + 5 * number), split(6), split(8)
        tasks.append(LatentTask(f"task {number}", classes, *splits))
    return tasks
