"""Small tasks for the tests of biases: a network of two convolutions, pictures, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from teachmesh.biases.bias_layout import biasable_layers, choose_layers
from teachmesh.biases.bias_training import TrainingRows
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.mapping.decisions import Decisions, PerTask
from teachmesh.model.backbone import Backbone
from tests.model.nets import pictures, tiny_backbone

N_CLASSES = 3


@dataclass(frozen=True, eq=False)
class InMemory:
    """Inputs of the suffix of a network, computed in advance."""

    tensors: tuple[torch.Tensor, ...]
    macs: int = 0

    def rows(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Return the inputs of some rows."""
        return tuple(tensor[torch.from_numpy(rows)] for tensor in self.tensors)


def biased(backbone: Backbone, which: str = "all") -> BeneficialBiases:
    """Return the backbone with biases on some layers."""
    layers = biasable_layers(backbone.forward_pass.net, backbone.size)
    return BeneficialBiases(backbone.forward_pass, choose_layers(layers, which))


def labelled_pictures(n: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Draw tinted pictures (n, 3, S, S) uint8 and their labels, three classes in turn."""
    labels = np.arange(n) % N_CLASSES
    tints = torch.tensor([[1.0, 0.6, 0.5], [0.6, 1.0, 0.5], [0.5, 0.6, 1.0]])
    shade = torch.from_numpy(np.random.default_rng(seed).uniform(0.5, 1, n)).float()
    images = pictures(n).float() * (tints[labels] * shade[:, None])[:, :, None, None]
    return images.to(torch.uint8), labels.astype(np.int64)


def training_rows(bb: BeneficialBiases, n: int, seed: int = 0) -> TrainingRows:
    """Draw labelled pictures as rows for training."""
    images, labels = labelled_pictures(n, seed)
    return TrainingRows(InMemory(bb.prefix(images)), labels)


def decisions_of(
    ids: Sequence[str],
    task: np.ndarray,
    within: Sequence[np.ndarray],
    *,
    direct: np.ndarray | None = None,
    comparable: bool = True,
) -> Decisions:
    """Build decisions of a first pass from known scores; no task has held-out images.

    Args:
        ids: ids of the T skills, sorted.
        task: (N, T) log posteriors of the tasks.
        within: for each task, (N, C_t) log posteriors of its classes.
        direct: log posteriors over all classes of all tasks, if there are any.
        comparable: whether classes of different tasks can be compared.
    """
    familiarity = PerTask(lambda _: np.zeros(len(task)), len(ids))
    return Decisions(
        skill_ids=tuple(ids),
        n_classes=tuple(part.shape[1] for part in within),
        task=task,
        within=PerTask(lambda position: within[position], len(ids)),
        familiarity=familiarity,
        held_out=(None,) * len(ids),
        direct=direct,
        comparable=comparable,
    )


__all__ = [
    "N_CLASSES",
    "InMemory",
    "biased",
    "decisions_of",
    "labelled_pictures",
    "tiny_backbone",
    "training_rows",
]
