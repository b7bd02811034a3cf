"""Manage the backbones of a home by alias: the embedded one and those that were added.

`fit_procedural` fits the reference of a new backbone without data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from teachmesh.data.backbone_store import BackboneStore, StoredBackbone, pack, unpack
from teachmesh.data.loader import Progress
from teachmesh.data.names import did_you_mean, shown
from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import BackboneError
from teachmesh.model.backbone import Backbone
from teachmesh.model.backbone_recipe import Recipe, parse_options
from teachmesh.model.build_backbone import (
    EMBEDDED_REFERENCE_FILE,
    assemble,
    assets,
    embedded_backbone,
    embedded_card,
)
from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.reference import DEFAULT_DIM, Reference, fit_reference
from teachmesh.model.timm_net import build_taps, default_preprocessing, download_state
from teachmesh.model.timm_weights import parse_weights, read_weights

__all__ = [
    "EMBEDDED",
    "add_timm",
    "assets",
    "backbone_names",
    "export_backbone",
    "import_backbone",
    "known_fingerprints",
    "load_backbone",
    "reference_bytes",
    "remove_backbone",
]
EMBEDDED = "embedded"
PROCEDURAL_IMAGES = 1024
"""Default number of images that a reference is fitted to."""
_BATCH = 32


def load_backbone(folder: Path, name: str, device: torch.device | None = None) -> Backbone:
    """Load a backbone by its alias.

    Args:
        folder: the home's folder of backbones.
        name: alias; `embedded` for the backbone in the package.
        device: device to run on; default the CPU.

    Raises:
        BackboneError: the alias is unknown (the message names the nearest), or the backbone is
            damaged or does not match its fingerprint.
    """
    if name == EMBEDDED:
        return embedded_backbone(EMBEDDED, device)
    stored = BackboneStore(folder).load(_known(folder, name))
    backbone = assemble(name, stored, device)
    if backbone.fingerprint != stored.about.get("fingerprint"):
        raise BackboneError(
            f"the backbone {name!r} is damaged: its fingerprint is not the one that it was added "
            "with; remove it and add it again"
        )
    return backbone


def add_timm(
    folder: Path,
    name: str,
    *,
    alias: str | None = None,
    weights: Path | None = None,
    options: Mapping[str, str] | None = None,
    size: int | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    dim: int | None = None,
    reference: bytes | None = None,
    reference_images: int = PROCEDURAL_IMAGES,
    progress: Progress | None = None,
) -> Backbone:
    """Add a timm network to a home, with weights from the hub or from a file.

    Args:
        folder: the home's folder of backbones.
        name: timm's name.
        alias: name in this home; default timm's.
        weights: a safetensors file with timm's key names; None downloads them.
        options: additional arguments of the network.
        size: side of the input in pixels; default the option `img_size`, else timm's.
        mean: per channel; default timm's.
        std: per channel; default timm's.
        dim: D of the multi-depth latents; default `DEFAULT_DIM`.
        reference: reference file of a peer; None computes one from procedural images.
        reference_images: number of procedural images; another number gives another reference.
        progress: called with (reference images done, reference images in all).

    Raises:
        BackboneError: the name, an option, the weights or the reference does not fit; nothing is
            saved.
        StorageError: it cannot be saved.
    """
    alias = alias or name
    _check_new(folder, alias)
    recipe = _recipe(name, parse_options(options or {}), size, mean, std)
    if weights is not None:
        data = read_weights(weights)
    else:
        data = save(download_state(name, recipe.options))
    if reference is None:
        net = build_taps(name, recipe.options, parse_weights(data))
        fitted = fit_procedural(
            net, recipe.preprocessing, dim or DEFAULT_DIM, progress, reference_images
        )
        reference = fitted.to_bytes()
    stored = StoredBackbone(recipe.to_json(), data, reference)
    backbone = assemble(alias, stored)
    stored.about["fingerprint"] = backbone.fingerprint
    BackboneStore(folder).save(alias, stored)
    return backbone


def fit_procedural(
    net: nn.Module,
    preprocessing: Preprocessing,
    dim: int = DEFAULT_DIM,
    progress: Progress | None = None,
    images: int = PROCEDURAL_IMAGES,
) -> Reference:
    """Fit the scale and projection of a network to seeded procedural images.

    Batch b of 32 images is drawn with seed b, so that memory does not grow with their number.

    Args:
        net: network as for `Backbone`.
        preprocessing: size, mean, deviation.
        dim: D; fewer if the taps have fewer channels.
        progress: called with (images done, images in all).
        images: number of images.

    Raises:
        BackboneError: the network cannot take images of this size, or its activations are not
            finite.
    """
    forward = ForwardPass(net, preprocessing, torch.device("cpu"))
    parts = []
    for seed, start in enumerate(range(0, images, _BATCH)):
        count = min(_BATCH, images - start)
        pixels = procedural_images(count, preprocessing.size, seed)
        parts.append([tap.numpy() for tap in forward.taps(torch.from_numpy(pixels))])
        if progress is not None:
            progress(start + count, images)
    try:
        return fit_reference([np.concatenate(taps) for taps in zip(*parts, strict=True)], dim)
    except ValueError as error:
        raise BackboneError(f"no reference can be made for this network: {error}") from error


def remove_backbone(folder: Path, name: str) -> None:
    """Remove a side-loaded backbone.

    Raises:
        BackboneError: the alias is unknown or that of the embedded backbone.
        StorageError: it cannot be removed.
    """
    if name == EMBEDDED:
        raise BackboneError("the embedded backbone is part of the package and cannot be removed")
    BackboneStore(folder).remove(_known(folder, name))


def export_backbone(folder: Path, name: str) -> bytes:
    """Pack a side-loaded backbone and its reference into one file.

    Raises:
        BackboneError: the alias is unknown or that of the embedded backbone, which every agent has.
    """
    if name == EMBEDDED:
        raise BackboneError("every agent has the embedded backbone; there is nothing to export")
    return pack(BackboneStore(folder).load(_known(folder, name)))


def import_backbone(folder: Path, data: bytes, alias: str | None = None) -> Backbone:
    """Import a backbone from a file; its fingerprint is computed again and compared.

    Raises:
        BackboneError: the file is of another kind or damaged, or the alias is taken.
        StorageError: it cannot be saved.
    """
    stored = unpack(data)
    name = alias or Recipe.from_json(stored.about).architecture
    _check_new(folder, name)
    backbone = assemble(name, stored)
    expected = shown(str(stored.about.get("fingerprint")), 12)
    if backbone.fingerprint != stored.about.get("fingerprint"):
        raise BackboneError(
            f"expected a backbone of fingerprint {expected}, the file's content has "
            f"{backbone.fingerprint[:12]}; it is damaged, export it again"
        )
    BackboneStore(folder).save(name, stored)
    return backbone


def backbone_names(folder: Path) -> list[str]:
    """List the aliases of a home, the embedded one first."""
    return [EMBEDDED, *BackboneStore(folder).names()]


def known_fingerprints(folder: Path) -> dict[str, str]:
    """Map fingerprints to aliases for all backbones of a home, without loading weights."""
    store = BackboneStore(folder)
    found = ((_fingerprint(store, name), name) for name in store.names())
    known = {fingerprint: name for fingerprint, name in found if fingerprint is not None}
    return {**known, str(embedded_card()["fingerprint"]): EMBEDDED}


def reference_bytes(folder: Path, sha256: str) -> bytes | None:
    """Return the reference file with a hash, or None if no backbone of the home has it."""
    data = (assets() / EMBEDDED_REFERENCE_FILE).read_bytes()
    if hashlib.sha256(data).hexdigest() == sha256:
        return data
    return BackboneStore(folder).reference_bytes(sha256)


def _fingerprint(store: BackboneStore, name: str) -> str | None:
    """Return None for a damaged backbone: using it reports the error, and others stay usable."""
    try:
        return str(store.about(name).get("fingerprint"))
    except BackboneError:
        return None


def _check_new(folder: Path, alias: str) -> None:
    if alias == EMBEDDED:
        raise BackboneError(
            f"expected a new alias, {alias!r} is the package's own; choose another with --as"
        )
    BackboneStore(folder).check_new(alias)


def _recipe(
    name: str,
    options: dict[str, str | int | float | bool | None],
    size: int | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
) -> Recipe:
    default = default_preprocessing(name)
    image_size = options.get("img_size")
    own_size = image_size if isinstance(image_size, int) else default.size
    preprocessing = Preprocessing(size or own_size, mean or default.mean, std or default.std)
    return Recipe(name, options, preprocessing)


def _known(folder: Path, name: str) -> str:
    names = backbone_names(folder)
    if name in names:
        return name
    hint = did_you_mean(name, names) or f"; known are: {', '.join(names)}"
    raise BackboneError(
        f"expected a known backbone, got '{shown(name)}'{hint} (add one with "
        "`teachmesh backbone add`)"
    )
