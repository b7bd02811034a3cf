"""Small valid skills with fixed numbers, and a writer of files that no encoder would write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.packet.bias_card import BiasCard
from teachmesh.packet.card import Card
from teachmesh.packet.signing import AgentKey, VerifiedSkill, sign
from teachmesh.packet.skill import Skill

if TYPE_CHECKING:
    # Importing it would load torch, in every process of the tests that only writes skills.
    from teachmesh.biases.bias_layout import BiasLayout

ALICE = AgentKey(bytes(range(32)))
BOB = AgentKey(bytes(range(1, 33)))
MALLORY = AgentKey(bytes(range(2, 34)))

LATENT_SIZE = 8
N_CLUSTERS = 4
RANK = 2


def sample_card(n_classes: int = 3, **changes: Any) -> Card:
    """A valid card of Alice's, with some fields changed."""
    card = Card(
        task="flowers",
        classes=tuple(f"flower {index}" for index in range(n_classes)),
        images_per_class=(12,) * n_classes,
        validation_images=9,
        method="gmmc",
        anchors=("gmmc",),
        backbone_name="embedded",
        backbone_fingerprint="ab" * 32,
        reference_id="cd" * 32,
        validation_accuracy=0.875,
        cost_macs=123_456_789,
        cost_s=1.25,
        author=ALICE.public_key,
        alias="alice",
        created="2026-11-23T11:00:00Z",
        privacy="statistics",
        version="0.1.0",
        calibration={"temperature": 1.5},
    )
    return dataclasses.replace(card, **changes)


def sample_bias_card(layout: BiasLayout, **changes: Any) -> BiasCard:
    """A card's section on biases for the layers of a layout, with some fields changed."""
    card = BiasCard(
        choice="all",
        first_layer=layout.first,
        layers=len(layout.chosen),
        floats=layout.total,
        features="last",
        weight=1.0,
        accuracy_without=0.5,
        accuracy_with=0.6,
        cost_macs=1,
        passes=1.0,
    )
    return dataclasses.replace(card, **changes)


def sample_tensors(n_classes: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """A GMMC anchor and a half-precision head, the same on every machine.

    The numbers are multiples of 1/8 from a linear congruence, because a generator's stream is
    only promised for one version of numpy.
    """
    shape = (N_CLUSTERS, LATENT_SIZE)
    return {
        "gmmc.means": _numbers(seed, shape),
        "gmmc.variances": np.abs(_numbers(seed + 1, shape)) + np.float32(0.125),
        "gmmc.weights": np.full(N_CLUSTERS, 1 / N_CLUSTERS, np.float32),
        "head.weight": _numbers(seed + 2, (n_classes, LATENT_SIZE)).astype(np.float16),
        "head.bias": _numbers(seed + 3, (n_classes,)).astype(np.float16),
    }


def moments_tensors(n_classes: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """An anchor of class moments with scores of held-out images, the same on every machine."""
    images, scores = 4, [-1.5, -0.25, 0.0, 0.5]
    return {
        "moments.means": _levels(seed, (n_classes, LATENT_SIZE)),
        "moments.mean_scales": np.full(n_classes, 1 / 64, np.float32),
        "moments.directions": _levels(seed + 1, (RANK, LATENT_SIZE)),
        "moments.variances": np.array([2.0, 0.5], np.float32),
        "moments.rest": np.array([0.25], np.float32),
        "moments.degrees": np.array([12 * n_classes - n_classes], np.uint32),
        "moments.head": _levels(seed + 2, (n_classes, LATENT_SIZE)),
        "moments.head_scales": np.full(n_classes, 1 / 32, np.float32),
        "moments.head_bias": _numbers(seed + 3, (n_classes,)),
        "held_out.moments": np.array([images, 0.75, 0.25, *scores], np.float32),
    }


def packed_tensors(n_classes: int = 3, bits: int = 2, head_bits: int = 1) -> dict[str, np.ndarray]:
    """Packed class moments, the same on every machine; no head if it has 0 bits."""
    plain = moments_tensors(n_classes)
    kept = ("mean_scales", "variances", "rest", "degrees")
    tensors = {f"moments.{name}": plain[f"moments.{name}"] for name in kept}
    tensors |= {
        "held_out.moments": plain["held_out.moments"],
        "moments.centre": _levels(4, (LATENT_SIZE,)),
        "moments.centre_scale": np.array([1 / 64], np.float32),
        "moments.mean_planes": _levels(5, (n_classes * bits, LATENT_SIZE // 8)).view(np.uint8),
        "moments.direction_planes": _levels(6, (RANK * 2, LATENT_SIZE // 8)).view(np.uint8),
    }
    if not head_bits:
        return tensors
    planes = _levels(7, (n_classes * head_bits, LATENT_SIZE // 8)).view(np.uint8)
    head = {name: plain[f"moments.{name}"] for name in ("head_scales", "head_bias")}
    return tensors | {"moments.head_planes": planes} | {f"moments.{n}": a for n, a in head.items()}


def packed_skill(**options: int) -> Skill:
    """A valid skill with packed class moments."""
    card = sample_card(method="moments", anchors=("moments",))
    return Skill(card, packed_tensors(**options))


def moments_skill(n_classes: int = 3, seed: int = 0, **changes: Any) -> Skill:
    """A valid skill with class moments, a GMMC anchor, a head and scores of held-out images."""
    changes = {"method": "moments", "anchors": ("gmmc", "moments"), **changes}
    tensors = sample_tensors(n_classes, seed) | moments_tensors(n_classes, seed)
    tensors["held_out.gmmc"] = np.zeros(3, np.float32)
    return Skill(sample_card(n_classes, **changes), tensors)


def _levels(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return (4 * _numbers(seed, shape)).astype(np.int8)


def _numbers(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    counts = np.arange(1, int(np.prod(shape)) + 1, dtype=np.int64)
    return (((counts * 37 + seed * 11) % 64 - 32) / 8).astype(np.float32).reshape(shape)


def sample_skill(n_classes: int = 3, seed: int = 0, **changes: Any) -> Skill:
    """A valid skill with a GMMC anchor and a head."""
    return Skill(sample_card(n_classes, **changes), sample_tensors(n_classes, seed))


def sample_bytes(key: AgentKey = ALICE, seed: int = 0, **changes: Any) -> bytes:
    """A signed skill; another seed is another skill."""
    return sample_signed(key, seed, **changes).data


def sample_signed(key: AgentKey = ALICE, seed: int = 0, **changes: Any) -> VerifiedSkill:
    """The same skill as `sample_bytes`, as a bank takes it."""
    return sign(sample_skill(seed=seed, author=key.public_key, **changes), key)


def parse_file(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a skill file apart: header as JSON values, body."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_file(header: Mapping[str, Any] | str | bytes, body: bytes, *, pad: bool = True) -> bytes:
    """Put any header before any body."""
    if isinstance(header, Mapping):
        header = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    raw = header.encode() if isinstance(header, str) else header
    if pad:
        raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + body


def canonical(value: object) -> str:
    """Sorted keys, no spaces, characters instead of escapes; an independent implementation."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def file_with_card(changes: Mapping[str, Any], *, drop: tuple[str, ...] = ()) -> bytes:
    """A file whose only fault is in its card."""
    header, body = parse_file(sample_bytes())
    metadata = json.loads(header["__metadata__"]["teachmesh"])
    metadata["card"] |= changes
    for name in drop:
        del metadata["card"][name]
    header["__metadata__"]["teachmesh"] = canonical(metadata)
    return write_file(header, body)


def file_with_tensors(changes: Mapping[str, np.ndarray | None], **card: Any) -> bytes:
    """A file written by the safetensors library from other tensors; None removes one."""
    return _changed(sample_skill(len(card.get("classes", (0, 0, 0))), **card), changes)


def moments_file(changes: Mapping[str, np.ndarray | None], **card: Any) -> bytes:
    """The same for a skill with class moments."""
    return _changed(moments_skill(**card), changes)


def _changed(skill: Skill, changes: Mapping[str, np.ndarray | None]) -> bytes:
    from safetensors.numpy import save

    tensors: dict[str, Any] = {**skill.tensors, **changes}
    metadata = {"card": skill.card.to_json(), "signature": ""}
    kept = {name: array for name, array in tensors.items() if array is not None}
    return save(kept, {"teachmesh": canonical(metadata)})
