"""Names, dtypes, shapes and values of the tensors in a skill."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from teachmesh.errors import SkillRefused
from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import (
    ANCHORS,
    KIND_NAME,
    RESERVED_KINDS,
    MomentsAnchor,
)
from teachmesh.mapping.bit_planes import MAX_BITS
from teachmesh.mapping.own_anchors import anchor_class
from teachmesh.mapping.packed_moments import HeadlessMoments, moments_layout
from teachmesh.mapping.typicality import MAX_VALUES, HeldOut
from teachmesh.packet.bias_tensors import (
    Shapes,
    bias_tensor_names,
    check_bias_shapes,
    check_bias_values,
)
from teachmesh.packet.card import Card
from teachmesh.packet.limits import Limits

HEAD = "head"
HEAD_WEIGHT = "head.weight"
HEAD_BIAS = "head.bias"
HELD_OUT = "held_out"
_HEAD_DTYPES = ("F32", "F16")

Tensors = Mapping[str, np.ndarray[Any, Any]]


def check_layout(shapes: Shapes, card: Card, limits: Limits) -> None:
    """Check that a skill has exactly the tensors its card requires.

    A head and scores of held-out images are optional.

    Args:
        shapes: dtype and shape of each tensor in the file, by name.
        card: card with the classes, the kinds of anchors and the section on biases.
        limits: maximum sizes.

    Raises:
        SkillRefused: SCHEMA for an unknown kind of anchor, and for a tensor that is missing,
            unknown or has the wrong dtype or shape. LIMIT for a size above its bound.
    """
    known = {
        kind: found for kind in card.anchors if (found := _anchor_class(kind, shapes)) is not None
    }
    names = {f"{kind}.{name}" for kind, anchor in known.items() for name in anchor.tensor_specs}
    for kind in card.anchors:
        names |= set() if kind in known else _foreign_names(kind, shapes)
    if HEAD_WEIGHT in shapes or HEAD_BIAS in shapes:
        names |= {HEAD_WEIGHT, HEAD_BIAS}
    held_out = {f"{HELD_OUT}.{kind}" for kind in card.anchors} & shapes.keys()
    names |= held_out | bias_tensor_names(card.biases, shapes)
    if unknown := sorted(shapes.keys() - names):
        raise SkillRefused("SCHEMA", f"unknown tensor {unknown[0][:64]!a}")
    if missing := sorted(names - shapes.keys()):
        raise SkillRefused("SCHEMA", f"the tensor {missing[0]!r} is missing")
    sizes = {
        kind: _check_anchor(kind, anchor, shapes, card, limits) for kind, anchor in known.items()
    }
    latent_sizes: dict[str, int] = {}
    for kind, anchor in known.items():
        if latent_sizes.setdefault(anchor.latent, sizes[kind]) != sizes[kind]:
            raise SkillRefused("SCHEMA", "two anchors disagree about the latent size")
    for name in sorted(held_out):
        dtype, shape = shapes[name]
        if dtype != "F32" or len(shape) != 1 or shape[0] > MAX_VALUES:
            raise SkillRefused("SCHEMA", f"expected up to {MAX_VALUES} float32 in {name!r}")
    if HEAD_WEIGHT in shapes:
        # Only class moments alone have a head for multi-depth latents (`Skill.latent_sizes`).
        kind = "multi" if card.anchors == ("moments",) else "last"
        _check_head(shapes, card, latent_sizes.get(kind), limits)
    if card.biases is not None and card.biases.kept:
        check_bias_shapes(card.biases, shapes, len(card.classes), latent_sizes, limits)


def _anchor_class(kind: str, names: Collection[str]) -> type[TaskAnchor] | None:
    """Return the class for a kind of anchor; None for a mapper that is not installed here."""
    if not re.fullmatch(KIND_NAME, kind) or kind in RESERVED_KINDS:
        raise SkillRefused("SCHEMA", f"expected kinds of anchors like 'gmmc', got {kind[:64]!a}")
    return layout_class(kind, names)


def layout_class(kind: str, names: Collection[str]) -> type[TaskAnchor] | None:
    """Return the class that describes the tensors of an anchor in a skill; None if unknown here.

    Args:
        kind: kind of the anchor.
        names: names of all tensors of the skill.
    """
    if kind != MomentsAnchor.kind:
        return anchor_class(kind)
    start = f"{kind}."
    return moments_layout([name[len(start) :] for name in names if name.startswith(start)])


def _foreign_names(kind: str, shapes: Shapes) -> set[str]:
    """Return the names of the tensors of an anchor whose mapper is not installed here."""
    found = {name for name in shapes if re.fullmatch(rf"{kind}\.{KIND_NAME}", name)}
    if not found:
        raise SkillRefused("SCHEMA", f"expected tensors of the anchor {kind!r}, got none")
    return found


def _check_anchor(
    kind: str, anchor: type[TaskAnchor], shapes: Shapes, card: Card, limits: Limits
) -> int:
    """Check the dtypes and shapes of an anchor's tensors; return the latent size D."""
    bounds = {
        "B": limits.latent_size // 8,
        "C": limits.classes,
        "D": limits.latent_size,
        "H": MAX_BITS * limits.classes,
        "K": limits.clusters,
        "M": limits.samples,
        "P": MAX_BITS * limits.classes,
        "Q": MAX_BITS * limits.rank,
        "R": limits.rank,
        "S": limits.samples * len(card.classes),
    }
    bound_sizes = {"C": len(card.classes)}
    for name, spec in anchor.tensor_specs.items():
        dtype, shape = shapes[f"{kind}.{name}"]
        if dtype != spec.dtype or len(shape) != len(spec.shape):
            raise SkillRefused("SCHEMA", f"tensor '{kind}.{name}' has another dtype or rank")
        for letter, size in zip(spec.shape, shape, strict=True):
            expected = letter if isinstance(letter, int) else bound_sizes.setdefault(letter, size)
            if size != expected:
                raise SkillRefused(
                    "SCHEMA", f"tensor '{kind}.{name}': expected {letter} = {expected}, got {size}"
                )
            if isinstance(letter, str) and size > bounds[letter]:
                raise SkillRefused(
                    "LIMIT", f"expected {letter} <= {bounds[letter]} in '{kind}.{name}', got {size}"
                )
    return bound_sizes["D"]


def _check_head(shapes: Shapes, card: Card, latent_size: int | None, limits: Limits) -> None:
    """Check the head; its latent size is None if no known anchor reads the same latents."""
    n_classes = len(card.classes)
    if latent_size is None:
        latent_size = shapes[HEAD_WEIGHT][1][-1]
    if latent_size > limits.latent_size:
        raise SkillRefused("LIMIT", f"expected D <= {limits.latent_size}, got {latent_size}")
    expected = {HEAD_WEIGHT: (n_classes, latent_size), HEAD_BIAS: (n_classes,)}
    for name, shape in expected.items():
        if shapes[name][0] not in _HEAD_DTYPES or shapes[name][1] != shape:
            raise SkillRefused(
                "SCHEMA", f"expected {name!r} of shape {shape} in F32 or F16, got {shapes[name]}"
            )


def check_values(tensors: Tensors, card: Card, limits: Limits) -> None:
    """Check that all numbers are safe to compute with; the layout was checked before.

    Raises:
        SkillRefused: VALUE for NaN, infinity, a magnitude above the bound, or values that are
            invalid for the anchor (negative variances, weights that do not sum to one, ...).
    """
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            continue
        bound = min(limits.magnitude, float(np.finfo(array.dtype).max))
        # NaN fails the comparison too, so no separate check for NaN is needed.
        if not bool(np.all(np.abs(array) <= bound)):
            raise SkillRefused("VALUE", f"tensor {name!r}: expected finite values up to {bound:g}")
    check_bias_values(tensors)
    for kind in card.anchors:
        if anchor_class(kind) is not None:
            _check_anchor_values(kind, tensors, card)
        elif (scores := tensors.get(f"{HELD_OUT}.{kind}")) is not None:
            _check_held_out(kind, scores)


def _check_anchor_values(kind: str, tensors: Tensors, card: Card) -> None:
    try:
        make_anchor(kind, tensors, len(card.classes))
    except ValueError as error:
        raise SkillRefused("VALUE", f"anchor {kind!r}: {error}") from error
    if (array := tensors.get(f"{HELD_OUT}.{kind}")) is not None:
        _check_held_out(kind, array)


def _check_held_out(kind: str, array: np.ndarray[Any, Any]) -> None:
    try:
        HeldOut.from_tensor(array)
    except ValueError as error:
        raise SkillRefused("VALUE", f"anchor {kind!r}: {error}") from error


def make_anchor(kind: str, tensors: Tensors, n_classes: int) -> TaskAnchor:
    """Build the anchor of the given kind from a skill's tensors.

    Raises:
        ValueError: a value is out of range for the anchor, or its mapper cannot be used here.
    """
    own = under_prefix(tensors, kind)
    if kind in ANCHORS:
        anchor = (layout_class(kind, tensors) or ANCHORS[kind]).from_tensors(own, n_classes)
        return anchor.unpacked() if isinstance(anchor, HeadlessMoments) else anchor
    found = anchor_class(kind)
    if found is None:
        raise ValueError(f"expected a mapper {kind!r} that can be used here; install its package")
    try:
        return found.from_tensors(own, n_classes)
    # Code of another package can raise any exception; a skill must not stop an agent.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def latent_size(kind: str, anchor: type[TaskAnchor], tensors: Tensors) -> int:
    """Return the latent size D of an anchor from the shapes of its tensors."""
    return next(
        int(tensors[f"{kind}.{name}"].shape[spec.shape.index("D")])
        for name, spec in anchor.tensor_specs.items()
        if "D" in spec.shape
    )


def under_prefix(tensors: Tensors, prefix: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors with a name prefix, without the prefix: "gmmc.x" becomes "x".

    Large int8 tensors stay views of the skill. The others are copied, because torch warns of
    read-only arrays.
    """
    start = f"{prefix}."
    return {
        name[len(start) :]: array if array.dtype == np.int8 else array.copy()
        for name, array in sorted(tensors.items())
        if name.startswith(start)
    }
