"""Read aliases, fingerprints and descriptions of a home's backbones from their cards.

This module neither loads weights nor imports torch, so that listing a bank is fast.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from teachmesh.data.backbone_store import BackboneStore, pack
from teachmesh.data.names import check_name, did_you_mean, shown
from teachmesh.errors import BackboneError, DataError

EMBEDDED = "embedded"
"""Alias of the backbone inside the package."""
CARD_FILE = "embedded.json"
EMBEDDED_REFERENCE_FILE = "embedded-reference.safetensors"
DESCRIPTION = "description"
"""Card key of the stored result of `Backbone.describe`, so that listing loads no weights."""
LICENCE = "licence"
"""Card key of a short name for the licence of the weights."""
REFERENCE_SOURCE = "reference_from"
"""Card key of where the reference comes from: package, file, images or procedural."""
PROCEDURAL = "procedural"
RESEARCH_LICENCE = "research"
"""Licence of the embedded backbone, whose training images are for non-commercial research."""
UNKNOWN_LICENCE = "unknown"
_STATED = " (as stated)"
_LICENCE_LIMIT = 64


def assets() -> Path:
    """Return the folder in the package that contains the embedded backbone's files."""
    return Path(__file__).with_name("assets")


def embedded_card(folder: Path | None = None) -> dict[str, Any]:
    """Return the card of the embedded backbone.

    Raises:
        BackboneError: the card is missing or damaged.
    """
    path = (folder or assets()) / CARD_FILE
    try:
        return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise incomplete_package() from error


def incomplete_package() -> BackboneError:
    """Return the error to raise if the embedded backbone's files are missing or do not match."""
    return BackboneError(
        "the embedded backbone's files are missing or do not belong together; install teachmesh "
        "again"
    )


def backbone_names(folder: Path) -> list[str]:
    """Return all aliases of a home, the embedded backbone first.

    Args:
        folder: backbone folder of the home.
    """
    return [EMBEDDED, *BackboneStore(folder).names()]


def known_name(folder: Path, name: str) -> str:
    """Return `name` if the home has a backbone with this alias.

    Raises:
        BackboneError: the alias is unknown; the message suggests the nearest.
    """
    names = backbone_names(folder)
    if name in names:
        return name
    hint = did_you_mean(name, names) or f"; known are: {', '.join(names)}"
    raise BackboneError(
        f"expected a known backbone, got '{shown(name)}'{hint} (add one with "
        "`teachmesh backbone add`)"
    )


def check_new_alias(folder: Path, alias: str) -> None:
    """Check an alias before a backbone is added.

    Raises:
        BackboneError: the alias is taken or reserved, or cannot name a folder.
    """
    if alias == EMBEDDED:
        raise BackboneError(
            f"expected a new alias, {alias!r} is the package's own; choose another with --as"
        )
    BackboneStore(folder).check_new(alias)


def known_fingerprints(folder: Path) -> dict[str, str]:
    """Return a map from fingerprint to alias for a home's backbones, except damaged ones."""
    known = {}
    for name in BackboneStore(folder).names():
        try:
            known[fingerprint_of(folder, name)] = name
        except BackboneError:
            continue  # a damaged backbone is reported when it is used
    return {**known, fingerprint_of(folder, EMBEDDED): EMBEDDED}


def fingerprint_of(folder: Path, name: str) -> str:
    """Return the fingerprint that was stored when a backbone was added.

    Raises:
        BackboneError: the backbone is damaged, or unknown (the message suggests the nearest).
    """
    return str(_card(folder, name).get("fingerprint"))


def stored_description(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the result of `Backbone.describe` that was stored when a backbone was added.

    Returns:
        The description; None if the card has no description for its current fingerprint.

    Raises:
        BackboneError: the backbone is damaged, or unknown (the message suggests the nearest).
    """
    card = _card(folder, name)
    found = card.get(DESCRIPTION)
    if not isinstance(found, dict) or found.get("fingerprint") != card.get("fingerprint"):
        return None
    return {"name": name, **found}


def with_description(card: Mapping[str, Any], description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card with the result of `Backbone.describe` added, except for its alias."""
    described = {key: value for key, value in description.items() if key != "name"}
    return {**card, DESCRIPTION: described}


def without_description(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card without its stored description."""
    return {key: value for key, value in card.items() if key != DESCRIPTION}


def licence_of(folder: Path, name: str) -> str:
    """Return the licence of a backbone's weights; "unknown" if the card states none.

    Raises:
        BackboneError: the backbone is damaged, or unknown (the message suggests the nearest).
    """
    licence = _card(folder, name).get(LICENCE)
    return licence if isinstance(licence, str) else UNKNOWN_LICENCE


def reference_source(folder: Path, name: str) -> str:
    """Return where the reference of a backbone comes from: "package" or the value on its card.

    Raises:
        BackboneError: the backbone is damaged, or unknown (the message suggests the nearest).
    """
    if name == EMBEDDED:
        return "package"
    source = _card(folder, name).get(REFERENCE_SOURCE)
    return source if source in ("package", "images", PROCEDURAL) else "file"


def stated_licence(text: object) -> str:
    """Mark a licence as stated by a person, that is, not verified.

    Examples:
        >>> stated_licence("MIT"), stated_licence("MIT (as stated)")
        ('MIT (as stated)', 'MIT (as stated)')

    Raises:
        BackboneError: the text is empty, too long or not printable.
    """
    try:
        name = check_name("licence", str(text).removesuffix(_STATED), _LICENCE_LIMIT)
    except DataError as error:
        raise BackboneError(str(error)) from error
    return name + _STATED


def remove_backbone(folder: Path, name: str) -> None:
    """Remove a side-loaded backbone.

    Raises:
        BackboneError: the backbone is unknown, or is the embedded one.
        StorageError: the backbone cannot be removed.
    """
    if name == EMBEDDED:
        raise BackboneError("the embedded backbone is part of the package and cannot be removed")
    BackboneStore(folder).remove(known_name(folder, name))


def export_backbone(folder: Path, name: str) -> bytes:
    """Return the bytes of a file that contains a side-loaded backbone and its reference.

    Raises:
        BackboneError: the backbone is unknown, or is the embedded one, which every agent has.
    """
    if name == EMBEDDED:
        raise BackboneError("every agent has the embedded backbone; there is nothing to export")
    stored = BackboneStore(folder).load(known_name(folder, name))
    return pack(dataclasses.replace(stored, about=without_description(stored.about)))


def reference_bytes(folder: Path, sha256: str) -> bytes | None:
    """Return the bytes of the reference with this hash; None if no backbone in the home uses it."""
    data = (assets() / EMBEDDED_REFERENCE_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() == sha256:
        return data
    return BackboneStore(folder).reference_bytes(sha256)


def _card(folder: Path, name: str) -> dict[str, Any]:
    if name == EMBEDDED:
        return embedded_card()
    return BackboneStore(folder).about(known_name(folder, name))
