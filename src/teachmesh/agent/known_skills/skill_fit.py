"""Checks whether a skill fits the backbone that its card names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.bank.entry import BankEntry
from teachmesh.errors import SkillRefused
from teachmesh.mapping.own_anchors import is_installed
from teachmesh.model.backbone_cards import known_fingerprints, stored_description

if TYPE_CHECKING:
    from teachmesh.packet.signing import VerifiedSkill

LATENTS = {"last": "last_dim", "multi": "dim"}
"""Key of each size of latents in the description of a backbone."""


def latent_sizes(backbones: Path, name: str) -> dict[str, int]:
    """Return the sizes of a backbone's latents; empty if its card does not state them.

    Args:
        backbones: backbone folder of the home.
        name: alias of the backbone.

    Raises:
        BackboneError: the backbone is damaged or unknown.
    """
    about = stored_description(backbones, name) or {}
    return {kind: int(about[key]) for kind, key in LATENTS.items() if key in about}


def misfit(read: tuple[int, int], sizes: Mapping[str, int]) -> str:
    """Return why a skill does not fit its backbone, or an empty text.

    Args:
        read: sizes of the latents "last" and "multi" that the skill reads; 0 for none.
        sizes: sizes of the backbone's latents, by kind; kinds of unknown size are not checked.
    """
    for kind, found in zip(LATENTS, read, strict=True):
        expected = sizes.get(kind, found)
        if found not in (0, expected):
            return f"expected {kind!r} latents of size {expected} with its backbone, got {found}"
    return ""


def lacks_head(entry: BankEntry, method: str) -> str:
    """Return a sentence if a mapper needs a head that the skill does not carry, or an empty text.

    Args:
        entry: entry of the skill.
        method: the task mapper; class moments contain their own head.
    """
    missing = method != "moments" and not entry.has_head
    return f"carries no head, which {method} needs" if missing else ""


def check_fit(verified: VerifiedSkill, backbones: Path) -> None:
    """Check a received skill against its backbone, if the home has it.

    Args:
        verified: the skill.
        backbones: backbone folder of the home.

    Raises:
        SkillRefused: SCHEMA if a size differs from that of the backbone, or if a head is missing.
    """
    entry = BankEntry.of(verified)
    name = known_fingerprints(backbones).get(entry.backbone_fingerprint)
    fault = "" if name is None else misfit(entry.latent_sizes, latent_sizes(backbones, name))
    needed = [lacks_head(entry, kind) for kind in entry.anchors if is_installed(kind)]
    if faults := [text for text in (fault, *needed) if text]:
        raise SkillRefused("SCHEMA", f"the skill {entry.task!r}: {faults[0]}")
