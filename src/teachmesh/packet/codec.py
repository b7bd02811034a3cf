"""Conversion between skills and bytes; the specification is `docs/skill_format.md`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

import numpy as np

from teachmesh.errors import SkillRefused
from teachmesh.packet.canonical import dump_canonical, parse_strict
from teachmesh.packet.card import Card, check_schema
from teachmesh.packet.card_rules import check_card
from teachmesh.packet.limits import DEFAULT_LIMITS, HARD_FILE_BYTES, Limits
from teachmesh.packet.skill import Skill
from teachmesh.packet.skill_header import (
    DTYPES,
    RawHeader,
    TensorEntry,
    check_entries,
    file_order,
    read_header,
    write_header,
)
from teachmesh.packet.tensor_layout import check_layout, check_values

_SIGNATURE = re.compile(r"([0-9a-f]{128})?")
# One bracket each for the metadata, the card, its four lists, calibration, biases, parents and
# their three lists. Two spare brackets let newer cards reach the version check.
_METADATA_BRACKETS = 14


@dataclass(frozen=True)
class SignedSkill:
    """A decoded skill file; its signature is **not** verified yet (`signing.verify`).

    Attributes:
        skill: the card and the tensors.
        signature: Ed25519 signature, 128 hex digits; "" if the skill is unsigned.
        id: SHA-256 of the file's bytes, 64 hex digits; identifies the skill.
        data: all bytes of the file.
    """

    skill: Skill
    signature: str
    id: str
    data: bytes = field(repr=False)


def skill_id(data: bytes) -> str:
    """Return the id of a skill file: SHA-256 of its bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def encode(skill: Skill, signature: str = "") -> bytes:
    """Encode a skill as a safetensors file; equal skills give equal bytes on every machine.

    Invariant: `decode(encode(s)).skill == s` for every skill `s` that is not refused.

    Args:
        skill: the skill to encode.
        signature: 128 hex digits; "" to get the bytes that `signing.sign` signs.

    Raises:
        SkillRefused: the skill violates a rule that every receiver checks.
    """
    check_card(skill.card, DEFAULT_LIMITS)
    check_layout(skill.shapes(), skill.card, DEFAULT_LIMITS)
    check_values(skill.tensors, skill.card, DEFAULT_LIMITS)
    data = _write(skill, signature)
    if len(data) > HARD_FILE_BYTES:
        raise SkillRefused("LIMIT", f"expected at most {HARD_FILE_BYTES} bytes, got {len(data)}")
    return data


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> SignedSkill:
    """Decode untrusted bytes; check sizes, header, card, layout, values and canonical form.

    The sizes that the header claims are compared with the file size before memory is allocated.

    Args:
        data: bytes of the whole file.
        limits: maximum sizes; larger skills are refused.

    Raises:
        SkillRefused: the bytes violate a rule; the error has the code of the first violated rule.
            No other exception is raised.
    """
    header = read_header(data, limits)
    card, signature = _read_metadata(header.metadata)
    check_card(card, limits)
    entries = check_entries(header, limits)
    check_layout({entry.name: (entry.dtype, entry.shape) for entry in entries}, card, limits)
    skill = Skill(card, {entry.name: _read_tensor(data, header, entry) for entry in entries})
    check_values(skill.tensors, card, limits)
    # A skill has exactly one encoding; any other bytes that passed the checks are rejected.
    if _write(skill, signature) != data:
        raise SkillRefused("FORMAT", "the bytes are not the canonical encoding of the skill")
    return SignedSkill(skill, signature, skill_id(data), data)


def decode_again(data: bytes, known_id: str, limits: Limits = DEFAULT_LIMITS) -> SignedSkill:
    """Decode bytes that passed `decode` before, without repeating all of its checks.

    Args:
        data: bytes of the whole file.
        known_id: SHA-256 of the bytes, which the caller has compared.
        limits: maximum sizes; larger skills are refused.

    Raises:
        SkillRefused: the bytes are not a skill of this format.
    """
    header = read_header(data, limits)
    card, signature = _read_metadata(header.metadata, again=True)
    entries = check_entries(header, limits)
    skill = Skill(card, {entry.name: _read_tensor(data, header, entry) for entry in entries})
    return SignedSkill(skill, signature, known_id, data)


def _read_metadata(text: str, *, again: bool = False) -> tuple[Card, str]:
    metadata = parse_strict(text, "card", brackets=_METADATA_BRACKETS)
    if not isinstance(metadata, dict):
        raise SkillRefused("SCHEMA", "expected the metadata to be a JSON object")
    card = metadata.get("card")
    # The version is checked first, because everything else may differ in a newer format.
    check_schema(card.get("schema") if isinstance(card, dict) else None)
    if set(metadata) != {"card", "signature"}:
        raise SkillRefused("SCHEMA", "expected exactly 'card' and 'signature' in the metadata")
    signature = metadata["signature"]
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        raise SkillRefused("SIGNATURE", "expected a signature of 128 hex digits")
    if not again and dump_canonical(metadata) != text:
        raise SkillRefused("FORMAT", "the metadata is not canonical JSON")
    return Card.from_json(card), signature


def _read_tensor(
    data: bytes, header: RawHeader, entry: TensorEntry
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    count = int(np.prod(entry.shape, dtype=np.int64))
    start = header.body_start + entry.begin
    values = np.frombuffer(data, DTYPES[entry.dtype], count, start)
    return values.reshape(entry.shape)


def _write(skill: Skill, signature: str) -> bytes:
    metadata = dump_canonical({"card": skill.card.to_json(), "signature": signature})
    shapes = skill.shapes()
    parts = [write_header(metadata, shapes)]
    for name in file_order({name: dtype for name, (dtype, _) in shapes.items()}):
        dtype = DTYPES[shapes[name][0]]
        parts.append(skill.tensors[name].astype(dtype, copy=False).tobytes())
    return b"".join(parts)
