"""The card section on beneficial biases: the choice of layers, the gain and the cost."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from teachmesh.errors import SkillRefused
from teachmesh.packet.limits import Limits

FEATURES = ("last", "multi", "head2toe")
"""Inputs of a head with biases: the paper's latents, multi-depth latents or feature maps."""
_CHOICE = re.compile(r"all|half|auto|last:[1-9][0-9]{0,5}")
_MAX_MACS = 2**63 - 1
_MAX_PASSES = 1e9


@dataclass(frozen=True, kw_only=True)
class BiasCard:
    """Record of the biases learned with a skill, even if they were dropped afterwards.

    Attributes:
        choice: requested layers: "auto", "all", "half" or "last:N".
        first_layer: index of the first biased layer in the order of the forward pass; all later
            layers are biased too.
        layers: number of biased layers.
        floats: number of biases.
        features: input of the head with biases; one of `FEATURES`.
        weight: log-linear weight of the decision with biases in the final decision; 0 if biases
            were dropped because they did not help on validation images.
        accuracy_without: validation accuracy without biases, given the task, 0 to 1.
        accuracy_with: validation accuracy with biases, given the task, 0 to 1.
        cost_macs: number of multiply-accumulates for learning the biases.
        passes: cost of learning in forward passes over the training and validation images.
    """

    choice: str
    first_layer: int
    layers: int
    floats: int
    features: str
    weight: float
    accuracy_without: float
    accuracy_with: float
    cost_macs: int
    passes: float

    @property
    def kept(self) -> bool:
        """Whether the skill contains the biases."""
        return self.weight > 0

    def to_json(self) -> dict[str, Any]:
        """Return the section as JSON values; equal sections give identical JSON."""
        values = dataclasses.asdict(self)
        return {name: float(value) if name in _FLOATS else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: object) -> BiasCard:
        """Build the section from untrusted parsed JSON; check types, but **not** rules.

        Raises:
            SkillRefused: SCHEMA if a key is missing or unknown, or a value has the wrong type.
        """
        if not isinstance(values, dict) or set(values) != _NAMES:
            raise SkillRefused("SCHEMA", f"expected the card's 'biases' to hold {sorted(_NAMES)}")
        for name, value in values.items():
            expected = float if name in _FLOATS else str if name in _TEXTS else int
            if type(value) is not expected:
                raise SkillRefused("SCHEMA", f"the card's 'biases.{name}' has the wrong type")
        return cls(**values)


_NAMES = {item.name for item in dataclasses.fields(BiasCard)}
_FLOATS = {"weight", "accuracy_without", "accuracy_with", "passes"}
_TEXTS = {"choice", "features"}


def check_bias_card(card: BiasCard, limits: Limits) -> None:
    """Check every field of the section.

    Raises:
        SkillRefused: VALUE for an invalid number or text, LIMIT for too many biases.
    """
    if not _CHOICE.fullmatch(card.choice) or card.features not in FEATURES:
        raise SkillRefused("VALUE", "expected a known choice of biases in the card")
    # The comparisons are written so that NaN fails too.
    if not all(0.0 <= x <= 1.0 for x in (card.weight, card.accuracy_with, card.accuracy_without)):
        raise SkillRefused("VALUE", "expected weight and accuracies of biases from 0 to 1")
    if not (0.0 <= card.passes <= _MAX_PASSES and math.isfinite(card.passes)):
        raise SkillRefused("VALUE", "the cost of the biases is out of range")
    if not 0 <= card.cost_macs <= _MAX_MACS or card.first_layer < 0:
        raise SkillRefused("VALUE", "the cost or the layers of the biases are out of range")
    if not 1 <= card.layers <= card.floats:
        raise SkillRefused("VALUE", "expected at least one bias in each biased layer")
    if card.floats > limits.biases or card.first_layer + card.layers > limits.biases:
        raise SkillRefused("LIMIT", f"expected at most {limits.biases} biases")
