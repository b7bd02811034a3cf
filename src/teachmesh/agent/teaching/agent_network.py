"""A whole agent as one torch network, for export: from pixels to task, class and "unknown"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from teachmesh.biases.second_network import SecondNetwork, exportable_biases
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.mapper_network import ByTask, mapper_network
from teachmesh.model.forward_pass import own_modules
from teachmesh.model.task_network import Preprocess, own_tensors

if TYPE_CHECKING:
    from teachmesh.agent.answers.student import Student
    from teachmesh.biases.second_pass import SecondPass
    from teachmesh.model.backbone import Backbone


class NetworkAnswers(NamedTuple):
    """Answers for N images; the names are those of the outputs of the file.

    Attributes:
        task: (N,) int64 index of the task.
        class_index: (N,) int64 index of the class within the task.
        probability: (N,) float32 probability of the class among the classes of all tasks.
        unknown: (N,) int64, 1 for unknown, 0 for known, and -1 if the task had too few images.
        familiarity: (N,) float32 score that `unknown` is decided by.
        probabilities: (N, sum of C_t) float32 of all classes, task by task.
    """

    task: torch.Tensor
    class_index: torch.Tensor
    probability: torch.Tensor
    unknown: torch.Tensor
    familiarity: torch.Tensor
    probabilities: torch.Tensor


OUTPUTS = tuple("class" if name == "class_index" else name for name in NetworkAnswers._fields)
"""Names of the outputs of a file with a whole agent."""


class AgentNetwork(nn.Module):
    """Decide about images (N, 3, S, S) uint8 with all skills of a student.

    The decision is computed in float64, as by the agent. A second pass with the biases of the
    image's task runs for every image if a skill has biases.

    Args:
        backbone: backbone of the skills, on the CPU.
        student: student with at least one skill.
        second: second pass of the agent; None if no skill has biases.
        false_alarms: fraction of known images that may be called unknown.

    Raises:
        UsageError: the mapper is of another package, two skills are copies of each other, or the
            biases of a skill cannot be written.
    """

    columns: torch.Tensor
    threshold: torch.Tensor
    judged: torch.Tensor

    def __init__(
        self, backbone: Backbone, student: Student, second: SecondPass | None, false_alarms: float
    ) -> None:
        super().__init__()
        keys = student.skill_ids
        self.preprocess = Preprocess(backbone, compact=True)
        self.net = own_modules(backbone.forward_pass.net)
        self.mapper = mapper_network(student.mapper)
        self.heads = Heads(student)
        counts = [len(student.skill(key).card.classes) for key in keys]
        self.by_task = ByTask(counts)
        self.register_buffer("columns", torch.from_numpy(_columns(counts)))
        held = [student.mapper.held_out(key) for key in keys]
        limits = [None if h is None else h.threshold(false_alarms) for h in held]
        self.register_buffer("judged", torch.tensor([limit is not None for limit in limits]))
        values = [0.0 if limit is None else limit for limit in limits]
        self.register_buffer("threshold", torch.tensor(values, dtype=torch.float64))
        own_tensors(self)
        biased = {} if second is None else exportable_biases(second, keys)
        self.second = (
            SecondNetwork(backbone, self.net, biased, keys, max(counts)) if biased else None
        )

    def forward(self, images: torch.Tensor) -> NetworkAnswers:
        """Return the answers for the images."""
        x = self.preprocess(images)
        taps = self.net(x)
        scores = self.mapper(taps[-1], self.preprocess.multi(taps))
        posteriors = torch.log_softmax(scores.task, 1)  # (N, T)
        within = torch.log_softmax(self.by_task(self.heads(scores.read)), 2)  # (N, T, C)
        task = posteriors.argmax(1)
        own = _row(within, task)  # (N, C)
        if self.second is not None:
            taps = self.second.taps(self.net, x, task)
            read = torch.cat([taps[-1], self.preprocess.multi(taps)], dim=1)
            own = self.second(read, task, own)
            within = torch.where(self._is(task)[:, :, None], own[:, None], within)
        joint = torch.exp(posteriors[:, :, None] + within).flatten(1)[:, self.columns]
        label = own.argmax(1)
        probability = torch.exp(posteriors.amax(1) + own.amax(1))
        familiarity = scores.familiarity.gather(1, task[:, None])[:, 0]
        unknown = torch.where(self.judged[task], (familiarity < self.threshold[task]).long(), -1)
        return NetworkAnswers(
            task, label, probability.float(), unknown, familiarity.float(), joint.float()
        )

    def _is(self, task: torch.Tensor) -> torch.Tensor:
        """Return (N, T), true in the column of each image's task."""
        return task[:, None] == torch.arange(len(self.judged))


class Heads(nn.Module):
    """The heads of all tasks, one below the other; class moments keep theirs as int8.

    Args:
        student: student with at least one skill.
    """

    weight: torch.Tensor
    scales: torch.Tensor
    bias: torch.Tensor

    def __init__(self, student: Student) -> None:
        super().__init__()
        parts = [_head_of(student, key) for key in student.skill_ids]
        for name, arrays in zip(
            ("weight", "scales", "bias"), zip(*parts, strict=True), strict=True
        ):
            self.register_buffer(name, torch.from_numpy(np.concatenate(arrays)))

    def forward(self, read: torch.Tensor) -> torch.Tensor:
        """Return the (N, sum of C_t) logits of (N, D) float64 latents."""
        return (read @ self.weight.double().T) * self.scales.double() + self.bias.double()


def _head_of(student: Student, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weight, scale of each row, and bias of the head of a task."""
    skill = student.skill(key)
    anchor = skill.anchor(student.method)
    if isinstance(anchor, MomentsAnchor):
        return anchor.head, anchor.head_scales, anchor.head_bias
    head = skill.head()
    assert head is not None  # skills of other methods are admitted only with a head
    return head.weight, np.ones(len(head.bias), np.float32), head.bias


def _columns(counts: Sequence[int]) -> np.ndarray:
    """Return the places of all classes in a padded (T, largest C_t) table."""
    width = max(counts)
    return np.concatenate([task * width + np.arange(n) for task, n in enumerate(counts)])


def _row(table: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
    """Return the (N, C) rows of an (N, T, C) table at the tasks of the images."""
    places = task[:, None, None].expand(-1, 1, table.shape[2])
    return table.gather(1, places)[:, 0]
