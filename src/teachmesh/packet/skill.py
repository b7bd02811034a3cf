"""The skill that one agent teaches another: a card and its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from teachmesh.errors import SkillRefused
from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.typicality import HeldOut
from teachmesh.model.head import Head
from teachmesh.packet.bias_tensors import SkillBiases
from teachmesh.packet.card import Card
from teachmesh.packet.skill_header import DTYPES
from teachmesh.packet.tensor_layout import (
    HEAD,
    HEAD_BIAS,
    HEAD_WEIGHT,
    HELD_OUT,
    latent_size,
    layout_class,
    make_anchor,
    under_prefix,
)

_DTYPE_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


@dataclass(frozen=True, eq=False)
class Skill:
    """A card and named arrays. A skill is immutable: its arrays are copied and made read-only.

    Two skills are equal if their encoded bytes are equal. Tensors of anchors are named
    "<anchor kind>.<tensor>". A trained head adds "head.weight" (C, D) and "head.bias" (C,).
    Scores of held-out images are in "held_out.<anchor kind>".
    The module `bias_tensors` lists the names of the tensors of beneficial biases.

    Attributes:
        card: description of the skill.
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
        """Build a skill from anchors and optionally a trained head.

        Args:
            card: card whose `anchors` lists exactly the kinds of `anchors`.
            anchors: results of the `fit_...` functions of `teachmesh.mapping`.
            head: trained head, or None.
        """
        tensors = {
            f"{anchor.kind}.{name}": array
            for anchor in anchors
            for name, array in anchor.tensors().items()
        }
        if head is not None:
            tensors |= {HEAD_WEIGHT: head.weight, HEAD_BIAS: head.bias}
        return cls(card, tensors)

    def shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return dtype and shape of each tensor, as the header of the skill's file lists them.

        Raises:
            SkillRefused: SCHEMA for a tensor of a type that the format lacks.
        """
        found = {}
        for name, array in self.tensors.items():
            if array.dtype not in _DTYPE_NAMES:
                raise SkillRefused(
                    "SCHEMA", f"tensor {name!r}: no dtype of the format: {array.dtype}"
                )
            found[name] = (_DTYPE_NAMES[array.dtype], array.shape)
        return found

    @property
    def method(self) -> str:
        """Name of the method with which the skill was learned."""
        return self.card.method

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.card.classes)

    @property
    def has_biases(self) -> bool:
        """True if the skill carries beneficial biases."""
        return self.biases() is not None

    @property
    def has_head(self) -> bool:
        """True if the skill carries a trained head."""
        return HEAD_WEIGHT in self.tensors

    def latent_sizes(self) -> tuple[int, int]:
        """Return the sizes of the latents "last" and "multi" that the skill reads; 0 for none.

        Anchors of mappers that are not installed here are left out.
        """
        sizes = {"last": 0, "multi": 0}
        for kind in self.card.anchors:
            if (anchor := layout_class(kind, self.tensors)) is not None:
                sizes[anchor.latent] = latent_size(kind, anchor, self.tensors)
        if self.has_head and self.card.anchors != ("moments",):
            # Every mapper but class moments lets the head read the paper's latents.
            sizes["last"] = int(self.tensors[HEAD_WEIGHT].shape[1])
        return sizes["last"], sizes["multi"]

    def anchor(self, kind: str) -> TaskAnchor | None:
        """Return the anchor of the given kind, or None if the skill has none."""
        if kind not in self.card.anchors:
            return None
        return make_anchor(kind, self.tensors, len(self.card.classes))

    def held_out(self, kind: str) -> HeldOut | None:
        """Return scores of held-out images for one kind of anchor; None if the skill has none."""
        array = self.tensors.get(f"{HELD_OUT}.{kind}")
        return None if array is None else HeldOut.from_tensor(array)

    def head(self) -> Head | None:
        """Return the trained head in float32, or None if the skill has none."""
        parts = under_prefix(self.tensors, HEAD)
        if not parts:
            return None
        return Head(
            weight=parts["weight"].astype(np.float32), bias=parts["bias"].astype(np.float32)
        )

    def biases(self) -> SkillBiases | None:
        """Return the beneficial biases, or None if the skill has none."""
        return SkillBiases.from_tensors(self.tensors)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Skill):
            return NotImplemented
        if self.card != other.card or self.tensors.keys() != other.tensors.keys():
            return False
        return all(
            _have_same_bytes(self.tensors[name], other.tensors[name]) for name in self.tensors
        )

    def __hash__(self) -> int:
        return hash((self.card.author, self.card.task, self.card.created))


def _have_same_bytes(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Compare arrays by bytes, not by value: 0.0 and -0.0 give skills with different ids."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tobytes() == other.tobytes()
