"""The card of a skill: author, task, classes, backbone, accuracy and cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from teachmesh.errors import SkillRefused
from teachmesh.packet.bias_card import BiasCard
from teachmesh.packet.parent_card import Parent, parents_from_json, parents_to_json

SCHEMA = "teachmesh.skill/2"
SCHEMA_PREFIX = "teachmesh.skill/"
_VERSION = int(SCHEMA[len(SCHEMA_PREFIX) :])

Privacy = Literal["statistics", "samples", "images"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """All data of a skill except its tensors; every field is visible to all peers.

    The fields are an allow-list without host names, user names or paths. A received card with an
    unknown key is refused. The constructor accepts any values; `encode` and `decode` reject a card
    that violates the rules of `card_rules.check_card`.

    Attributes:
        schema: version of the format.
        task: name of the task, 1 to 128 characters; display only, never an identity.
        classes: names of the C classes in label order, unique after NFC and case folding.
        images_per_class: number of training images of each class (length C).
        validation_images: number of validation images.
        method: name of the method: "moments", "gmmc" or "maha"; must be one of `anchors`.
        anchors: kinds of the task anchors in the skill, sorted.
        backbone_name: the teacher's name for the backbone; display only.
        backbone_fingerprint: hash of weights, preprocessing, taps and reference, 64 hex digits.
        reference_id: hash of the reference for multi-depth latents, 64 hex digits.
        validation_accuracy: accuracy on validation images if the task is known, 0 to 1; or None.
        cost_macs: number of multiply-accumulates for learning.
        cost_s: wall-clock time of learning in seconds.
        author: Ed25519 public key of the author, 64 hex digits.
        alias: display name of the author, at most 64 characters; never an identity.
        created: UTC time such as "2026-11-23T11:00:00Z"; display only, never compared.
        privacy: kind of data that leaves the teacher: "statistics", "samples" (latents of single
            images) or "images".
        replaces: id of the author's earlier skill that this one replaces, or None.
        warnings: at most 16 sentences for people who use the skill.
        calibration: finite numbers by name: notes on what was reused.
        parents: old classes from which new classes were learned, sorted. The JSON has no key
            "parents" if there are none.
        biases: gain and cost of beneficial biases; None if no biases were learned. The JSON then
            has no key "biases".
        version: version of teachmesh that wrote the card.
    """

    task: str
    classes: tuple[str, ...]
    images_per_class: tuple[int, ...]
    validation_images: int
    method: str
    anchors: tuple[str, ...]
    backbone_name: str
    backbone_fingerprint: str
    reference_id: str
    validation_accuracy: float | None
    cost_macs: int
    cost_s: float
    author: str
    alias: str
    created: str
    privacy: Privacy
    version: str
    replaces: str | None = None
    warnings: tuple[str, ...] = ()
    calibration: Mapping[str, float] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    biases: BiasCard | None = None
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """Return the card as JSON values; `from_json(card.to_json()) == card` for valid cards."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        for name in ("classes", "images_per_class", "anchors", "warnings"):
            values[name] = list(values[name])
        # Always write a float, because 12 and 12.0 would give two files for one skill.
        values["cost_s"] = float(self.cost_s)
        if self.validation_accuracy is not None:
            values["validation_accuracy"] = float(self.validation_accuracy)
        values["calibration"] = {key: float(value) for key, value in self.calibration.items()}
        del values["parents"], values["biases"]
        if self.parents:
            values["parents"] = parents_to_json(self.parents)
        if self.biases is not None:
            values["biases"] = self.biases.to_json()
        return values

    @classmethod
    def from_json(cls, values: object) -> Card:
        """Build a card from untrusted parsed JSON; check types, but **not** rules.

        Raises:
            SkillRefused: VERSION for a newer schema; SCHEMA if a key is missing or unknown, or a
                value has the wrong type.
        """
        if not isinstance(values, dict):
            raise SkillRefused("SCHEMA", "expected the card to be a JSON object")
        check_schema(values.get("schema"))
        names = {item.name for item in dataclasses.fields(cls)}
        if unknown := sorted(str(key) for key in values.keys() - names):
            raise SkillRefused("SCHEMA", f"unknown key {unknown[0][:64]!a} in the card")
        if missing := sorted(names - values.keys() - {"parents", "biases"}):
            raise SkillRefused("SCHEMA", f"the card lacks the key {missing[0]!r}")
        if "parents" in values:
            values = {**values, "parents": parents_from_json(values["parents"])}
        if "biases" in values:
            values = {**values, "biases": BiasCard.from_json(values["biases"])}
        for name, value in values.items():
            _check_type(name, value)
        for name in ("classes", "images_per_class", "anchors", "warnings"):
            values = {**values, name: tuple(values[name])}
        return cls(**values)


def check_schema(schema: object) -> None:
    """Check that a card has the schema of this version of teachmesh.

    Raises:
        SkillRefused: VERSION for a newer or older schema; SCHEMA for any other value.
    """
    if schema == SCHEMA:
        return
    number = schema[len(SCHEMA_PREFIX) :] if isinstance(schema, str) else ""
    if isinstance(schema, str) and schema.startswith(SCHEMA_PREFIX) and _is_version(number):
        if int(number) > _VERSION:
            raise SkillRefused("VERSION", "made by a newer teachmesh; update to read it")
        raise SkillRefused(
            "VERSION",
            f"made by an earlier teachmesh (format {number}), whose skills depend on each other; "
            "learn the task again from its images with `teachmesh learn FOLDER --replace`",
        )
    raise SkillRefused("SCHEMA", f"expected a card of schema {SCHEMA!r}")


def _is_version(number: str) -> bool:
    return 0 < len(number) <= 9 and number.isascii() and number.isdigit() and number[0] != "0"


_LIST_ITEMS: dict[str, type] = {
    "classes": str,
    "images_per_class": int,
    "anchors": str,
    "warnings": str,
}
_INTEGERS = ("validation_images", "cost_macs")
_NUMBERS = ("cost_s", "validation_accuracy")
_OPTIONAL = ("validation_accuracy", "replaces")


def _check_type(name: str, value: object) -> None:
    """Check the exact type of a value; a bool does not pass as an int, nor an int as a float."""
    if value is None and name in _OPTIONAL:
        return
    if name in _LIST_ITEMS:
        item_type = _LIST_ITEMS[name]
        good = type(value) is list and all(type(item) is item_type for item in value)
    elif name == "calibration":
        good = type(value) is dict and all(type(item) is float for item in value.values())
    elif name == "parents":
        good = type(value) is tuple
    elif name == "biases":
        good = isinstance(value, BiasCard)
    elif name in _INTEGERS:
        good = type(value) is int
    elif name in _NUMBERS:
        good = type(value) is float
    else:
        good = type(value) is str
    if not good:
        raise SkillRefused("SCHEMA", f"the card's {name!r} has the wrong type")
