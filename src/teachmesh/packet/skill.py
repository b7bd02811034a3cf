"""The skill: a card and its tensors, what one agent teaches another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.model.head import Head
from teachmesh.packet.bias_tensors import SkillBiases
from teachmesh.packet.card import Card
from teachmesh.packet.tensor_layout import (
    HEAD,
    HEAD_BIAS,
    HEAD_WEIGHT,
    make_anchor,
    under_prefix,
)


@dataclass(frozen=True, eq=False)
class Skill:
    """A card and named arrays, immutable: the arrays are copied and made read-only.

    Two skills are equal when their encoded bytes are. Names are "<anchor kind>.<tensor>" and,
    for a skill that carries a trained head, "head.weight" (C, D) and "head.bias" (C,); those of
    beneficial biases stand in `bias_tensors`.

    Attributes:
        card: what it says about itself.
        tensors: read-only C-contiguous arrays by name.
    """

    card: Card
    tensors: Mapping[str, np.ndarray[Any, Any]]

    def __post_init__(self) -> None:
        frozen = {name: np.array(array, order="C") for name, array in self.tensors.items()}
        for array in frozen.values():
            array.flags.writeable = False
        object.__setattr__(self, "tensors", MappingProxyType(frozen))

    @classmethod
    def of(cls, card: Card, anchors: Iterable[TaskAnchor], head: Head | None = None) -> Skill:
        """Put anchors and, where the method trained one, a head into a skill.

        Args:
            card: its `anchors` names exactly the kinds given here.
            anchors: what `fit_...` of `teachmesh.mapping` made.
            head: the trained head, or None.
        """
        tensors = {
            f"{anchor.kind}.{name}": array
            for anchor in anchors
            for name, array in anchor.tensors().items()
        }
        if head is not None:
            tensors |= {HEAD_WEIGHT: head.weight, HEAD_BIAS: head.bias}
        return cls(card, tensors)

    def anchor(self, kind: str) -> TaskAnchor | None:
        """Give the anchor of a kind, or None if this skill was made without it."""
        if kind not in self.card.anchors:
            return None
        return make_anchor(kind, self.tensors, len(self.card.classes))

    def head(self) -> Head | None:
        """Give the trained head in float32, or None if the method needs none."""
        parts = under_prefix(self.tensors, HEAD)
        if not parts:
            return None
        return Head(
            weight=parts["weight"].astype(np.float32), bias=parts["bias"].astype(np.float32)
        )

    def biases(self) -> SkillBiases | None:
        """Give the beneficial biases, or None if this skill has none."""
        return SkillBiases.from_tensors(self.tensors)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Skill):
            return NotImplemented
        if self.card != other.card or self.tensors.keys() != other.tensors.keys():
            return False
        return all(_same(self.tensors[name], other.tensors[name]) for name in self.tensors)

    def __hash__(self) -> int:
        return hash((self.card.author, self.card.task, self.card.created))


def _same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Compare bytes, not values: 0.0 and -0.0 are two skills, and two ids."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tobytes() == other.tobytes()
