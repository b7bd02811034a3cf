"""The backbone with two classifiers, and the losses; used only for training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretraining.pretraining_recipe import Recipe
from pretraining.teacher_nets import TEACHER_CLASSES
from teachmesh.model.embedded_backbone import LAST_WIDTH, EmbeddedNet


class Student(nn.Module):
    """The backbone with a classifier for the labels and one for the teacher's classes.

    Only the backbone is shipped.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.net = EmbeddedNet()
        self.labels = nn.Linear(LAST_WIDTH, n_classes)
        self.teacher = nn.Linear(LAST_WIDTH, TEACHER_CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N, C) logits for the C labels and (N, 1000) logits for the teacher's classes."""
        latents = last_latent(self.net, x)
        return self.labels(latents), self.teacher(latents)


def last_latent(net: EmbeddedNet, x: Tensor) -> Tensor:
    """Return only the last tap, `net(x)[-1]`.

    Pooling the inner taps would take 10 % of a training step's time, and no loss uses these taps.

    Args:
        net: the network, in any mode.
        x: N normalised images as an (N, 3, H, W) float32 tensor.

    Returns:
        The (N, 1024) latents.
    """
    x = functional.relu(net.stem_norm(net.stem(x)))
    for block in net.blocks:
        _, x = block(x)
    return functional.relu(net.last_norm(net.last(x))).mean((2, 3))


def loss_of(
    answers: tuple[Tensor, Tensor], labels: Tensor, soft: Tensor | None, recipe: Recipe
) -> Tensor:
    """Return the cross-entropy loss, plus the divergence from the teacher if there is one.

    Args:
        answers: (N, C) and (N, 1000) logits of the student.
        labels: class index of each image, (N,) int64.
        soft: (N, 1000) logits of the teacher; None without a teacher.
        recipe: settings of the run, with the weight of each loss term.
    """
    by_label, by_teacher = answers
    loss = functional.cross_entropy(by_label, labels, label_smoothing=recipe.label_smoothing)
    if soft is None:
        return loss
    return loss + recipe.distill_weight * divergence(by_teacher, soft, recipe.temperature)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the Kullback-Leibler divergence of softened logits, times the temperature squared.

    Args:
        student: (N, K) logits.
        teacher: (N, K) logits.
        temperature: softmax temperature of both.

    Examples:
        >>> logits = torch.tensor([[1.0, 2.0, 4.0]])
        >>> float(divergence(logits, logits, 2.0))
        0.0
    """
    soft = functional.log_softmax(student / temperature, dim=1)
    target = functional.log_softmax(teacher / temperature, dim=1)
    loss = functional.kl_div(soft, target, reduction="batchmean", log_target=True)
    return loss * temperature**2


def optimizer_of(student: Student, recipe: Recipe) -> torch.optim.SGD:
    """Make an SGD optimiser without weight decay for biases and normalisation layers."""
    decayed = [p for p in student.parameters() if p.ndim > 1]
    others = [p for p in student.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.peak_rate, momentum=recipe.momentum, nesterov=True)
