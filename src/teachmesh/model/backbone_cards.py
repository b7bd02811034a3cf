"""The backbones of a home as their cards describe them: aliases, fingerprints, descriptions.

Nothing here loads weights or imports torch, so that a bank can be listed in a moment.
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
"""Key of a card under which `Backbone.describe` is stored, so that listing loads no weights."""
LICENCE = "licence"
"""Key of a card for the licence of the weights, in a few words."""
RESEARCH_LICENCE = "research"
"""Licence of the embedded backbone: its training images are for non-commercial research."""
UNKNOWN_LICENCE = "unknown"
_STATED = " (as stated)"
_LICENCE_LIMIT = 64


def assets() -> Path:
    """The folder of the embedded backbone's files inside the package."""
    return Path(__file__).with_name("assets")


def embedded_card(folder: Path | None = None) -> dict[str, Any]:
    """The card of the embedded backbone.

    Raises:
        BackboneError: it is missing or damaged.
    """
    path = (folder or assets()) / CARD_FILE
    try:
        return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise incomplete_package() from error


def incomplete_package() -> BackboneError:
    """The error for files of the embedded backbone that are missing or do not match."""
    return BackboneError(
        "the embedded backbone's files are missing or do not belong together; install teachmesh "
        "again"
    )


def backbone_names(folder: Path) -> list[str]:
    """Every alias of a home, the embedded one first.

    Args:
        folder: the home's folder of backbones.
    """
    return [EMBEDDED, *BackboneStore(folder).names()]


def known_name(folder: Path, name: str) -> str:
    """Return an alias that the home has.

    Raises:
        BackboneError: unknown; names the nearest.
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
    """Check an alias before the work of adding begins.

    Raises:
        BackboneError: it is taken, reserved or cannot name a folder.
    """
    if alias == EMBEDDED:
        raise BackboneError(
            f"expected a new alias, {alias!r} is the package's own; choose another with --as"
        )
    BackboneStore(folder).check_new(alias)


def known_fingerprints(folder: Path) -> dict[str, str]:
    """Fingerprint -> alias of every backbone of a home; damaged ones are left out."""
    known = {}
    for name in BackboneStore(folder).names():
        try:
            known[fingerprint_of(folder, name)] = name
        except BackboneError:
            continue  # it is reported when it is used, and hides no other
    return {**known, fingerprint_of(folder, EMBEDDED): EMBEDDED}


def fingerprint_of(folder: Path, name: str) -> str:
    """The fingerprint that a backbone was added with.

    Raises:
        BackboneError: unknown (names the nearest) or damaged.
    """
    return str(_card(folder, name).get("fingerprint"))


def stored_description(folder: Path, name: str) -> dict[str, Any] | None:
    """`Backbone.describe` of a backbone, as it was stored when it was added.

    Returns:
        None if the card has none for its fingerprint; then the backbone has to be loaded.

    Raises:
        BackboneError: unknown (names the nearest) or damaged.
    """
    card = _card(folder, name)
    found = card.get(DESCRIPTION)
    if not isinstance(found, dict) or found.get("fingerprint") != card.get("fingerprint"):
        return None
    return {"name": name, **found}


def with_description(card: Mapping[str, Any], description: Mapping[str, Any]) -> dict[str, Any]:
    """A card with what `Backbone.describe` returned, except for the alias."""
    described = {key: value for key, value in description.items() if key != "name"}
    return {**card, DESCRIPTION: described}


def without_description(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card without the description that `stored_description` reads."""
    return {key: value for key, value in card.items() if key != DESCRIPTION}


def licence_of(folder: Path, name: str) -> str:
    """The licence of a backbone's weights, as its card has it; "unknown" if it has none.

    Raises:
        BackboneError: unknown (names the nearest) or damaged.
    """
    licence = _card(folder, name).get(LICENCE)
    return licence if isinstance(licence, str) else UNKNOWN_LICENCE


def stated_licence(text: object) -> str:
    """Mark a licence as a person's statement that was not verified.

    Examples:
        >>> stated_licence("MIT"), stated_licence("MIT (as stated)")
        ('MIT (as stated)', 'MIT (as stated)')

    Raises:
        BackboneError: it is empty, too long or not printable.
    """
    try:
        name = check_name("licence", str(text).removesuffix(_STATED), _LICENCE_LIMIT)
    except DataError as error:
        raise BackboneError(str(error)) from error
    return name + _STATED


def remove_backbone(folder: Path, name: str) -> None:
    """Remove a side-loaded backbone.

    Raises:
        BackboneError: unknown, or the embedded one.
        StorageError: it cannot be removed.
    """
    if name == EMBEDDED:
        raise BackboneError("the embedded backbone is part of the package and cannot be removed")
    BackboneStore(folder).remove(known_name(folder, name))


def export_backbone(folder: Path, name: str) -> bytes:
    """A side-loaded backbone with its reference as one file.

    Raises:
        BackboneError: unknown, or the embedded one, which every agent has.
    """
    if name == EMBEDDED:
        raise BackboneError("every agent has the embedded backbone; there is nothing to export")
    stored = BackboneStore(folder).load(known_name(folder, name))
    return pack(dataclasses.replace(stored, about=without_description(stored.about)))


def reference_bytes(folder: Path, sha256: str) -> bytes | None:
    """The reference file of a hash, if one of the home's backbones has it."""
    data = (assets() / EMBEDDED_REFERENCE_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() == sha256:
        return data
    return BackboneStore(folder).reference_bytes(sha256)


def _card(folder: Path, name: str) -> dict[str, Any]:
    if name == EMBEDDED:
        return embedded_card()
    return BackboneStore(folder).about(known_name(folder, name))
