"""Load, add and import the backbones of a home.

`fit_reference` fits the reference of a new backbone to images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from teachmesh.data.backbone_store import BackboneStore, StoredBackbone, unpack
from teachmesh.data.loader import Progress
from teachmesh.data.names import shown
from teachmesh.errors import BackboneError
from teachmesh.model.backbone import Backbone
from teachmesh.model.backbone_cards import (
    EMBEDDED,
    LICENCE,
    PROCEDURAL,
    REFERENCE_SOURCE,
    assets,
    check_new_alias,
    known_name,
    stated_licence,
    with_description,
)
from teachmesh.model.backbone_recipe import OWN_PREFIX, Recipe, parse_options
from teachmesh.model.build_backbone import assemble, embedded_backbone
from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.lite_weights import LITE, LITE_LICENCE
from teachmesh.model.own_network import OWN_NETWORKS, OwnNetwork, build_tapped
from teachmesh.model.reference import DEFAULT_DIM, Reference
from teachmesh.model.reference_images import (
    FolderImages,
    ProceduralImages,
    ReferenceImages,
    make_reference,
)
from teachmesh.model.timm_net import default_preprocessing, download_state
from teachmesh.model.timm_weights import parse_weights, read_weights

PROCEDURAL_IMAGES = 1024
"""Default number of images for fitting a reference."""


def load_backbone(folder: Path, name: str, device: torch.device | None = None) -> Backbone:
    """Load a backbone by its alias.

    Agents of one process share the embedded backbone, because it never changes.

    Args:
        folder: backbone folder of the home.
        name: alias of the backbone; `embedded` for the one in the package.
        device: device to run on; the CPU by default.

    Raises:
        BackboneError: the alias is unknown (the message suggests the nearest), or the backbone is
            damaged or does not match its fingerprint.
    """
    if name == EMBEDDED:
        return _embedded(device or torch.device("cpu"))
    stored = BackboneStore(folder).load(known_name(folder, name))
    backbone = assemble(name, stored, device)
    if backbone.fingerprint != stored.about.get("fingerprint"):
        raise BackboneError(
            f"the backbone {name!r} is damaged: its fingerprint is not the one that it was added "
            "with; remove it and add it again"
        )
    return backbone


@cache
def _embedded(device: torch.device) -> Backbone:
    return embedded_backbone(EMBEDDED, device)


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
    reference_folder: Path | None = None,
    reference_images: int = PROCEDURAL_IMAGES,
    licence: str | None = None,
    progress: Progress | None = None,
) -> Backbone:
    """Add a timm network to a home, with weights from a package, a file or the hub.

    Args:
        folder: backbone folder of the home.
        name: timm's name, or the name of a network whose weights are in a package
            (`lite_weights.LITE` or an entry point, see `own_network`).
        alias: alias of the backbone in the home; `name` by default.
        weights: safetensors file with timm's key names; None to download the weights.
        options: additional arguments of the network.
        size: side of the input in pixels; by default the option `img_size`, or else timm's size.
        mean: mean of each colour channel; timm's value by default.
        std: standard deviation of each colour channel; timm's value by default.
        dim: number of multi-depth latents, D; `DEFAULT_DIM` by default.
        reference: bytes of a peer's reference file; None to use the packaged one of `lite0`, or to
            fit one.
        reference_folder: folder of images to fit the reference to; procedural images by default.
        reference_images: number of procedural images; the reference depends on it.
        licence: short name of the licence of the weights, for the card; None if it is unknown.
        progress: called with (reference images done, total number of reference images).

    Raises:
        MissingExtraError: timm or the package with the weights is not installed.
        BackboneError: the name, an option, the weights or the reference is invalid; nothing is
            saved.
        StorageError: the backbone cannot be saved.
    """
    alias = alias or name
    check_new_alias(folder, alias)
    licence_entry = {} if licence is None else {LICENCE: stated_licence(licence)}
    if name in LITE:
        licence_entry = {LICENCE: LITE_LICENCE}
    data = _packaged_weights(name, weights, licence)
    if own := own_network(name):
        licence_entry = {LICENCE: own.licence}
    recipe = _recipe(name, own, parse_options(options or {}), size, mean, std)
    architecture = recipe.architecture
    if data is None and weights is not None:
        data = read_weights(weights)
    elif data is None:
        data = save(download_state(name, recipe.options))
    source = "file"
    if reference is None and reference_folder is None and reference_images == PROCEDURAL_IMAGES:
        reference, source = _packaged_reference(name, dim), "package"
    if reference is None:
        source = PROCEDURAL if reference_folder is None else "images"
        net, _ = build_tapped(architecture, recipe.options, parse_weights(data))
        side = recipe.preprocessing.size
        images: ReferenceImages = ProceduralImages(reference_images, side)
        if reference_folder is not None:
            images = FolderImages.of(reference_folder, side)
        fitted = fit_reference(net, recipe.preprocessing, images, dim or DEFAULT_DIM, progress)
        reference = fitted.to_bytes()
    about = {**recipe.to_json(), **licence_entry, REFERENCE_SOURCE: source}
    stored = StoredBackbone(about, data, reference)
    backbone = assemble(alias, stored)
    stored.about["fingerprint"] = backbone.fingerprint
    _save(folder, stored, backbone)
    return backbone


def fit_reference(
    net: nn.Module,
    preprocessing: Preprocessing,
    images: ReferenceImages,
    dim: int = DEFAULT_DIM,
    progress: Progress | None = None,
) -> Reference:
    """Fit the reference of a network to images.

    Args:
        net: network with the inputs and outputs that `Backbone` requires. If it has an attribute
            `tap_weights`, one positive number per tap, the taps get these weights; otherwise 1.
        preprocessing: image size, mean and standard deviation.
        images: the reference images.
        dim: number of multi-depth latents, D; lowered if the taps have fewer channels.
        progress: called with (images done, total number of images).

    Raises:
        BackboneError: the network cannot take images of this size, or its activations are not
            finite.
    """
    forward = ForwardPass(net, preprocessing, torch.device("cpu"))
    try:
        weights = getattr(net, "tap_weights", None)
        return make_reference(forward.taps, images, dim, weights=weights, progress=progress)
    except ValueError as error:
        raise BackboneError(f"no reference can be made for this network: {error}") from error


def _packaged_reference(name: str, dim: int | None) -> bytes | None:
    """Return the reference that the package contains for a network, or None."""
    path = assets() / f"{name}-reference.safetensors"
    if name not in LITE or dim not in (None, DEFAULT_DIM) or not path.exists():
        return None
    return path.read_bytes()


def import_backbone(folder: Path, data: bytes, alias: str | None = None) -> Backbone:
    """Import a backbone from a file after checking its fingerprint.

    The licence is marked "as stated" on the card, because anybody may have written the file.

    Raises:
        BackboneError: the file is damaged or has another format, or the alias is taken.
        StorageError: the backbone cannot be saved.
    """
    stored = unpack(data)
    if LICENCE in stored.about:
        stored.about[LICENCE] = stated_licence(stored.about[LICENCE])
    name = alias or Recipe.from_json(stored.about).architecture
    check_new_alias(folder, name)
    backbone = assemble(name, stored)
    expected = shown(str(stored.about.get("fingerprint")), 12)
    if backbone.fingerprint != stored.about.get("fingerprint"):
        raise BackboneError(
            f"expected a backbone of fingerprint {expected}, the file's content has "
            f"{backbone.fingerprint[:12]}; it is damaged, export it again"
        )
    _save(folder, stored, backbone)
    return backbone


def _save(folder: Path, stored: StoredBackbone, backbone: Backbone) -> None:
    about = with_description(stored.about, backbone.describe())
    BackboneStore(folder).save(backbone.name, dataclasses.replace(stored, about=about))


def _packaged_weights(name: str, weights: Path | None, licence: str | None) -> bytes | None:
    """Return the weights that a package brings as safetensors bytes; None for other names."""
    own = own_network(name)
    if name not in LITE and own is None:
        return None
    if weights is not None or licence is not None:
        hint = "" if name not in LITE else f", or name the network {LITE[name].architecture!r}"
        raise BackboneError(
            f"expected no --weights or --licence with {name!r}, which has its own; leave them "
            f"out{hint}"
        )
    return save(LITE[name].read()) if own is None else own.weights()


def own_network(name: str) -> OwnNetwork | None:
    """Return the network of another package with this name; None if there is none.

    Raises:
        ConfigError: a package offers the network, and it cannot be used.
    """
    return OWN_NETWORKS.load(name) if name in OWN_NETWORKS.names() else None


def _recipe(
    name: str,
    own: OwnNetwork | None,
    options: dict[str, str | int | float | bool | None],
    size: int | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
) -> Recipe:
    if own is not None:
        if options:
            raise BackboneError(f"expected no --option with {name!r}, a network of a package")
        name, default = OWN_PREFIX + name, own.preprocessing
    else:
        name = LITE[name].architecture if name in LITE else name
        default = default_preprocessing(name)
    image_size = options.get("img_size")
    own_size = image_size if isinstance(image_size, int) else default.size
    preprocessing = Preprocessing(size or own_size, mean or default.mean, std or default.std)
    return Recipe(name, options, preprocessing)
