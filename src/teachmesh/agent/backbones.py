"""Backbones of a home: what `teachmesh backbone` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import read_file, write_file
from teachmesh.bank.home import Home, resolve_home
from teachmesh.model import backbone_registry as registry
from teachmesh.model.embedded_backbone import read_card

Progress = Callable[[int, int], None]
MAX_BACKBONE_BYTES = 4 << 30


def add_backbone(
    home: Path | None,
    name: str,
    *,
    alias: str | None,
    weights: Path | None,
    options: Mapping[str, str],
    size: int | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
    dim: int | None,
    reference: Path | None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Add a timm network; arguments and errors as `model.backbone_registry.add_timm`.

    Returns:
        What was added, as `describe_backbone`.
    """
    backbone = registry.add_timm(
        resolve_home(home).backbones,
        name,
        alias=alias,
        weights=weights,
        options=options,
        size=size,
        mean=mean,
        std=std,
        dim=dim,
        reference=None if reference is None else read_file(reference),
        progress=progress,
    )
    return describe_backbone(home, backbone.name)


def describe_backbone(home: Path | None, name: str) -> dict[str, Any]:
    """Everything about one backbone.

    Raises:
        BackboneError: unknown; names the nearest.
    """
    opened = resolve_home(home)
    document = registry.load_backbone(opened.backbones, name).describe()
    document["size_bytes"] = _size_bytes(opened, name)
    document["default"] = name == opened.config.backbone
    if name == registry.EMBEDDED:
        document["card"] = read_card(registry.assets())
    return document


def describe_backbones(home: Path | None) -> list[dict[str, Any]]:
    """Every backbone of a home, the embedded one first."""
    names = registry.backbone_names(resolve_home(home).backbones)
    return [describe_backbone(home, name) for name in names]


def remove_backbone(home: Path | None, name: str) -> None:
    """Remove a side-loaded backbone; a home that used it by default goes back to the embedded.

    Raises:
        BackboneError: unknown, or the embedded one.
    """
    opened = resolve_home(home)
    registry.remove_backbone(opened.backbones, name)
    if opened.config.backbone == name:
        use_backbone(home, registry.EMBEDDED)


def use_backbone(home: Path | None, name: str) -> None:
    """Make a backbone the default of a home.

    Raises:
        BackboneError: unknown; names the nearest.
    """
    opened = resolve_home(home)
    registry.load_backbone(opened.backbones, name)
    opened.save_config(dataclasses.replace(opened.config, backbone=name))


def export_backbone(home: Path | None, name: str, target: Path) -> int:
    """Write a backbone with its reference to one file; its size in bytes."""
    data = registry.export_backbone(resolve_home(home).backbones, name)
    write_file(target, data)
    return len(data)


def import_backbone(home: Path | None, file: Path, *, alias: str | None) -> dict[str, Any]:
    """Take a backbone from a file; its fingerprint is computed anew and compared."""
    data = read_file(file, MAX_BACKBONE_BYTES)
    backbone = registry.import_backbone(resolve_home(home).backbones, data, alias)
    return describe_backbone(home, backbone.name)


def _size_bytes(home: Home, name: str) -> int:
    folder = registry.assets() if name == registry.EMBEDDED else home.backbones / name
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
