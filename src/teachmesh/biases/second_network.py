"""The second pass of a whole agent as a torch network, for export.

Each image runs through the network again, with the biases of the task that it was mapped to. All
skills share one table of biases and the weights of the first pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from teachmesh.biases.apply_biases import biased_modules, gains
from teachmesh.errors import UsageError
from teachmesh.mapping.mapper_network import MISSING
from teachmesh.model.forward_pass import Tensors

if TYPE_CHECKING:
    from teachmesh.biases.second_pass import BiasedSkill, SecondPass
    from teachmesh.model.backbone import Backbone


def exportable_biases(second: SecondPass, keys: Sequence[str]) -> dict[str, BiasedSkill]:
    """Return the skills with biases, by id.

    Args:
        second: second pass of an agent.
        keys: ids of the skills that answers use.

    Raises:
        UsageError: a skill uses Head2Toe.
    """
    found = {key: skill for key in keys if (skill := second.biased(key)) is not None}
    if any(skill.features == "head2toe" for skill in found.values()):
        raise UsageError(
            "expected biases whose heads read the latents, got bb-h2t, whose heads read single "
            "feature maps; learn these tasks with +bb to export the agent"
        )
    return found


class SecondNetwork(nn.Module):
    """Second passes and their fusion with the first; tasks without biases keep the first.

    Args:
        backbone: the backbone.
        net: network of the exported agent; hooks are added to its layers.
        biased: skills with biases, by id; at least one.
        keys: ids of all skills, in the order of the tasks.
        width: largest number of classes of a task, C.
    """

    biases: torch.Tensor
    place: torch.Tensor
    weight: torch.Tensor
    head: torch.Tensor
    head_bias: torch.Tensor

    def __init__(
        self,
        backbone: Backbone,
        net: nn.Module,
        biased: Mapping[str, BiasedSkill],
        keys: Sequence[str],
        width: int,
    ) -> None:
        super().__init__()
        skills = list(biased.values())
        order = {key: number for number, key in enumerate(biased, start=1)}
        weights = [0.0, *(skill.weight for skill in skills)]
        heads = [_padded_head(skill, backbone, width) for skill in skills]
        for name, tensor in (
            ("biases", self._hooked(backbone.forward_pass.net, net, skills)),
            ("place", torch.tensor([order.get(key, 0) for key in keys])),
            ("weight", torch.tensor(weights, dtype=torch.float64)),
            ("head", _below_zeros([weight for weight, _ in heads])),
            ("head_bias", _below_zeros([bias for _, bias in heads])),
        ):
            self.register_buffer(name, tensor)

    def taps(self, net: nn.Module, x: torch.Tensor, task: torch.Tensor) -> Tensors:
        """Run the network with the biases of each image's task.

        Args:
            net: the network with hooks.
            x: (N, 3, S, S) normalised images.
            task: (N,) task of each image.
        """
        self._now.append(self.biases[self.place[task]])
        taps: Tensors = net(x)
        self._now.clear()
        return taps

    def forward(self, read: torch.Tensor, task: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Fuse the decisions of both passes about the classes of each image's task.

        Args:
            read: (N, D) latents of both kinds, `last` and then `multi`.
            task: (N,) task of each image.
            own: (N, C) padded log posteriors of the first pass.
        """
        place = self.place[task]
        logits = torch.bmm(self.head[place].double(), read.double()[:, :, None])[:, :, 0]
        opinion = torch.log_softmax(logits + self.head_bias[place], 1)
        weight = self.weight[place][:, None]
        fused = torch.log_softmax((1 - weight) * own + weight * opinion, 1)
        return torch.where(weight > 0, fused, own)

    def _hooked(
        self, original: nn.Module, net: nn.Module, skills: Sequence[BiasedSkill]
    ) -> torch.Tensor:
        """Add hooks to the biased layers; return (K + 1, B) biases, the first row for no biases."""
        self._now: list[torch.Tensor] = []  # the (N, B) biases of a second pass while it runs
        wide = min((skill.layout for skill in skills), key=lambda layout: layout.first)
        for layer, part in zip(biased_modules(net, wide), wide.slices, strict=True):
            layer.register_forward_hook(partial(self._add, part))
        factors = gains(biased_modules(original, wide))
        return _below_zeros([factors * s.layout.within(wide, s.values.cpu()) for s in skills])

    def _add(
        self, part: slice, module: nn.Module, _args: object, output: torch.Tensor
    ) -> torch.Tensor:
        """In a second pass, add the biases of each image's task to the output of a layer."""
        if not self._now:
            return output
        biases = self._now[0][:, part]
        if output.shape[0] != biases.shape[0]:
            raise UsageError(
                "expected a backbone whose layers have one row per image, got one that splits "
                "images into windows; export its skills with biases one by one (skills export)"
            )
        # Not `add_bias`, whose arithmetic with lengths would fix the number of images.
        inner = [1] * (output.ndim - 2)
        after, before = (inner, []) if isinstance(module, nn.Conv2d) else ([], inner)
        return output + biases.reshape(-1, *before, biases.shape[1], *after)


def _padded_head(
    skill: BiasedSkill, backbone: Backbone, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the head of a skill as (C, D) weights of both kinds of latents, and (C,) biases."""
    weight, bias = torch.tensor(skill.head.weight), torch.tensor(skill.head.bias)
    before = 0 if skill.features == "last" else backbone.last_dim
    after = backbone.last_dim + backbone.dim - before - weight.shape[1]
    rows = nn.functional.pad(weight, (before, after, 0, width - len(weight)))
    return rows, nn.functional.pad(bias.double(), (0, width - len(bias)), value=MISSING)


def _below_zeros(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack tensors below one of zeros."""
    return torch.stack([torch.zeros_like(rows[0]), *rows])
