"""Run images through the backbone again, with the biases of the task they were mapped to.

Task mapping needs no biases. An image is run again only if the skill of its task has biases, and
only from the first biased layer on. Images of different tasks can share a batch, each with the
biases of its task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.biases.bias_encoding import EncodedBiases
from teachmesh.biases.bias_head import TapLatents
from teachmesh.biases.bias_layout import BiasLayout, biasable_layers
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.biases.head2toe import Head2Toe, choose_maps
from teachmesh.biases.refine_decisions import BiasedDecision
from teachmesh.mapping.fusion import log_softmax
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import BATCH_SIZE
from teachmesh.model.forward_pass import Tensors
from teachmesh.model.lanes import Lanes

if TYPE_CHECKING:
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.model.backbone import Backbone
    from teachmesh.model.head import Head
    from teachmesh.packet.skill import Skill

KeptRows = Callable[[np.ndarray], Tensors]
"""Function from image indices to the inputs of `BeneficialBiases.suffix`."""


@dataclass(frozen=True, eq=False)
class BiasedSkill:
    """The biases of one skill, ready to run.

    Attributes:
        layout: the biased layers.
        values: (B,) biases in the paper's units.
        head: head trained with the biases.
        features: kind of features that the head reads: "last", "multi" or "head2toe".
        weight: weight of the decision with biases in the fused decision.
    """

    layout: BiasLayout
    values: torch.Tensor
    head: Head
    features: str
    weight: float


class SecondPass:
    """The second pass of images, with the biases of the skills in a bank.

    Args:
        backbone: the frozen network.
        skills: skills by id; biases that do not fit the network are ignored.
    """

    def __init__(self, backbone: Backbone, skills: Mapping[str, Skill]) -> None:
        self._backbone = backbone
        self._biased: dict[str, BiasedSkill] = {}
        for skill_id, skill in skills.items():
            if (found := self._read(skill)) is not None:
                self._biased[skill_id] = found

    @property
    def skill_ids(self) -> frozenset[str]:
        """Ids of the skills whose biases can be used."""
        return frozenset(self._biased)

    def biased(self, skill_id: str) -> BiasedSkill | None:
        """Return the biases of a skill; None if it has no usable biases."""
        return self._biased.get(skill_id)

    @cached_property
    def network(self) -> BeneficialBiases:
        """The backbone with biases from the first layer on that has biases in any skill."""
        layouts = [biased.layout for biased in self._biased.values()]
        earliest = min(layouts, key=lambda layout: layout.first)
        return BeneficialBiases(self._backbone.forward_pass, earliest)

    def first(self, images: torch.Tensor) -> tuple[Latents, Tensors]:
        """Compute the latents without biases and the inputs of a second pass.

        Args:
            images: (N, 3, S, S) uint8.
        """
        taps, kept = self.network.first_pass(images)
        last, multi = (self._latents(kind).exact(taps) for kind in ("last", "multi"))
        return Latents(_numpy(last), _numpy(multi)), kept

    def kept(self, images: torch.Tensor) -> Tensors:
        """Compute the inputs of a second pass for images whose latents are known."""
        return self.network.prefix(images)

    def opinions(
        self, decisions: Decisions, pairs: Sequence[tuple[int, int]], kept: KeptRows
    ) -> list[BiasedDecision]:
        """Return the decisions of second passes, each with the biases of one task.

        Args:
            decisions: decisions of the first pass.
            pairs: (image, task) indices, without repeats; tasks without biases are skipped.
            kept: function that returns the inputs of a second pass (from `first` or `kept`).
        """
        ids = decisions.skill_ids
        wanted = sorted((t, i) for i, t in pairs if ids[t] in self._biased)
        found: dict[int, list[tuple[int, np.ndarray]]] = {}
        batches = list(_batches(wanted, lambda t: self._is_alone(self._biased[ids[t]])))
        with Lanes.over(self._backbone.device) as lanes:
            jobs = (
                partial(self._run, [ids[t] for t, _ in batch], _rows(kept, batch))
                for batch in batches
            )
            for batch, posteriors in zip(batches, lanes.run(jobs), strict=True):
                for (t, i), row in zip(batch, posteriors, strict=True):
                    found.setdefault(t, []).append((i, row))
        return [
            BiasedDecision(
                t,
                np.array([i for i, _ in rows], dtype=np.int64),
                np.stack([row for _, row in rows]),
                self._biased[ids[t]].weight,
            )
            for t, rows in found.items()
        ]

    def _is_alone(self, skill: BiasedSkill) -> bool:
        """Return True if images of this skill cannot share a batch with other tasks."""
        return skill.features == "head2toe" or not self.network.mixes

    def _run(self, ids: list[str], kept: Tensors) -> list[np.ndarray]:
        """Return, for each image, the log posteriors of the classes of its task."""
        skills = [self._biased[skill_id] for skill_id in ids]
        with torch.no_grad():
            if skills[0].features == "head2toe":
                features = {"head2toe": self._head2toe(skills[0]).features(kept)}
            else:
                taps = self.network.suffix(kept, self._values(skills))
                kinds = {skill.features for skill in skills}
                features = {kind: self._latents(kind).exact(taps) for kind in kinds}
        arrays = {kind: _numpy(values) for kind, values in features.items()}
        return [
            _posteriors(skill.head, arrays[skill.features][i : i + 1])
            for i, skill in enumerate(skills)
        ]

    def _values(self, skills: Sequence[BiasedSkill]) -> torch.Tensor:
        """Return one vector of biases if all images belong to one task, else one row per image."""
        first = skills[0]
        wide = self.network.layout
        if all(skill is first for skill in skills):
            return first.layout.within(wide, first.values)
        return torch.stack([skill.layout.within(wide, skill.values) for skill in skills])

    def _head2toe(self, skill: BiasedSkill) -> Head2Toe:
        """Choose the same feature maps as when the head of the skill was fitted."""
        wide = self.network.layout
        earlier = len(wide.chosen) - len(skill.layout.chosen)
        own = choose_maps(skill.layout, skill.values, self.network.per_image[earlier:])
        choice = replace(own, channels=((),) * earlier + own.channels)
        return Head2Toe(self.network, skill.layout.within(wide, skill.values), choice)

    def _latents(self, kind: str) -> TapLatents:
        return TapLatents(kind, self._backbone.reference, self._backbone.device)

    @cached_property
    def _layers(self) -> BiasLayout:
        net = self._backbone.forward_pass.net
        return BiasLayout(biasable_layers(net, self._backbone.size), 0)

    @cached_property
    def _deviations(self) -> torch.Tensor:
        return BeneficialBiases(self._backbone.forward_pass, self._layers).deviations

    def _read(self, skill: Skill) -> BiasedSkill | None:
        """Read the biases of a skill; return None if they do not fit the network."""
        card, biases = skill.card.biases, skill.biases()
        if card is None or biases is None or card.first_layer >= len(self._layers.layers):
            return None
        layout = BiasLayout(self._layers.layers, card.first_layer)
        if (layout.total, len(layout.chosen)) != (card.floats, card.layers):
            return None
        widths = {"last": self._backbone.last_dim, "multi": self._backbone.dim}
        head = biases.head()
        if head.weight.shape[1] != widths.get(card.features, head.weight.shape[1]):
            return None
        encoded = EncodedBiases(biases.kind, biases.values, biases.scales)
        values = encoded.decode(layout, self._deviations[-layout.total :])
        return BiasedSkill(layout, values, head, card.features, card.weight)


def _batches(
    wanted: Sequence[tuple[int, int]], alone: Callable[[int], bool]
) -> Iterator[list[tuple[int, int]]]:
    """Batch sorted (task, image) pairs; tasks for which `alone` is true get their own batches."""
    batch: list[tuple[int, int]] = []
    for task, image in wanted:
        other = bool(batch) and batch[-1][0] != task and (alone(task) or alone(batch[-1][0]))
        if len(batch) == BATCH_SIZE or other:
            yield batch
            batch = []
        batch.append((task, image))
    if batch:
        yield batch


def _rows(kept: KeptRows, batch: Sequence[tuple[int, int]]) -> Tensors:
    return kept(np.array([image for _, image in batch], dtype=np.int64))


def _posteriors(head: Head, features: np.ndarray) -> np.ndarray:
    """Return C log posteriors; all NaN if the head expects another number of features."""
    if head.weight.shape[1] != features.shape[1]:
        return np.full(len(head.bias), np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(log_softmax(head.logits(features))[0])


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.asarray(np.ascontiguousarray(tensor.cpu().numpy()))
