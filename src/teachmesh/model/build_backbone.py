"""Build a `Backbone` from files in the package or in a home, on a chosen device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from teachmesh.data.backbone_store import StoredBackbone
from teachmesh.errors import DeviceError
from teachmesh.model.backbone import Backbone, hash_weights
from teachmesh.model.backbone_cards import (
    EMBEDDED_REFERENCE_FILE,
    assets,
    embedded_card,
    incomplete_package,
)
from teachmesh.model.backbone_recipe import Recipe
from teachmesh.model.embedded_backbone import load_embedded
from teachmesh.model.forward_pass import Preprocessing
from teachmesh.model.own_network import build_tapped
from teachmesh.model.reference import Reference
from teachmesh.model.timm_weights import parse_weights

_DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def assemble(name: str, stored: StoredBackbone, device: torch.device | None = None) -> Backbone:
    """Build a stored backbone.

    Args:
        name: alias of the backbone.
        stored: contents of the backbone's files.
        device: device to run on; the CPU by default.

    Raises:
        BackboneError: a file is damaged, or the files do not belong together.
    """
    recipe = Recipe.from_json(stored.about)
    weights = parse_weights(stored.weights)
    net, tap_names = build_tapped(recipe.architecture, recipe.options, weights)
    reference = Reference.from_bytes(stored.reference)
    return Backbone(
        name=name,
        architecture=recipe.title,
        net=net,
        tap_names=tap_names,
        preprocessing=recipe.preprocessing,
        reference=reference,
        weights_sha256=hash_weights(net.state_dict()),
        device=device,
    )


def embedded_backbone(
    name: str, device: torch.device | None = None, folder: Path | None = None
) -> Backbone:
    """Build the backbone that is shipped with the package.

    Args:
        name: alias of the backbone.
        device: device to run on; the CPU by default.
        folder: folder that contains the backbone's files; the folder in the package by default.

    Raises:
        BackboneError: the files are missing or damaged, or do not belong together.
    """
    folder = folder or assets()
    card = embedded_card(folder)
    net = load_embedded(folder)
    try:
        reference = (folder / EMBEDDED_REFERENCE_FILE).read_bytes()
    except OSError as error:
        raise incomplete_package() from error
    backbone = Backbone(
        name=name,
        architecture=str(card["architecture"]),
        net=net,
        tap_names=net.tap_names,
        preprocessing=_preprocessing(card),
        reference=Reference.from_bytes(reference),
        weights_sha256=hash_weights(net.state_dict()),
        device=device,
    )
    if backbone.fingerprint != card["fingerprint"]:
        raise incomplete_package()
    return backbone


def _preprocessing(card: Mapping[str, Any]) -> Preprocessing:
    mean, std = card["mean"], card["std"]
    return Preprocessing(
        int(card["size"]),
        (float(mean[0]), float(mean[1]), float(mean[2])),
        (float(std[0]), float(std[1]), float(std[2])),
    )


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device for a name.

    Args:
        name: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first available of cuda, mps, cpu.

    Raises:
        DeviceError: the name is unknown, or the device is not available on this machine.

    Examples:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if not _DEVICES.fullmatch(name):
        raise DeviceError(f"expected a device out of auto, cpu, cuda, cuda:1, mps, got {name!r}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if name.startswith("cuda") and not _has_cuda(name):
        raise DeviceError(
            f"expected the device {name!r}, this machine has {torch.cuda.device_count()} CUDA "
            "devices; use --device cpu or auto"
        )
    if name == "mps" and not _has_mps():
        raise DeviceError("expected the device 'mps', it is not available; use --device cpu")
    return torch.device(name)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _has_cuda(name: str) -> bool:
    index = int(name.partition(":")[2] or 0)
    return torch.cuda.is_available() and index < torch.cuda.device_count()
