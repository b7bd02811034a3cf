"""Task mappers of other packages, found by the entry points of the group `teachmesh.mappers`."""

from __future__ import annotations

import inspect
import re
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from teachmesh.data.entry_points import MAPPERS_GROUP, EntryPoints
from teachmesh.mapping.anchor import DTYPES, TaskAnchor
from teachmesh.mapping.anchor_kinds import KIND_NAME, METHODS, RESERVED_KINDS, SIZES
from teachmesh.mapping.gmmc import GmmcMapper
from teachmesh.mapping.maha import MahaMapper
from teachmesh.mapping.mapper import AnchorSource, TaskMapper
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.moments_scan import StoreOf

AnchorT = TypeVar("AnchorT", bound=TaskAnchor)

Privacy = Literal["statistics", "samples", "images"]
PRIVACY: tuple[Privacy, ...] = ("statistics", "samples", "images")
"""Data of images in a skill, the least sensitive first."""
PAPER_MAPPERS: Mapping[str, type[GmmcMapper | MahaMapper]] = {
    mapper.kind: mapper for mapper in (GmmcMapper, MahaMapper)
}


class OwnMapper(TaskMapper[AnchorT]):
    """Base class of task mappers of other packages.

    The mapper chooses the task; a trained head chooses the class, as with `gmmc` and `maha`.
    `mapping.mapper_laws` has the laws that every mapper must obey.

    Args:
        metric: metric of the backbone's multi-depth latents.

    Attributes:
        kind: name of the method, of its entry point and of its anchor.
        latent: latents that the mapper reads: "last" or "multi".
        anchor_type: class of the anchors; its `tensor_specs` are checked in every received skill.
        privacy: data of images that an anchor contains: "statistics", "samples" (single latents)
            or "images". It appears on the card of every skill.
    """

    anchor_type: ClassVar[type[TaskAnchor]]
    privacy: ClassVar[Privacy]

    def __init__(self, metric: Metric) -> None:
        super().__init__(self.anchor_type)  # type: ignore[arg-type]
        self.metric = metric

    @classmethod
    @abstractmethod
    def fit(
        cls, latents: np.ndarray, labels: np.ndarray, n_classes: int, metric: Metric, seed: int
    ) -> AnchorT:
        """Fit the anchor of one task.

        Args:
            latents: (N, D) float32 latents of the training images, of the kind `latent`.
            labels: (N,) int64 class indices; every class occurs.
            n_classes: number of classes, C.
            metric: metric of the backbone's multi-depth latents.
            seed: seed for all random numbers.
        """


def _checked(name: str, found: Any) -> type[OwnMapper[Any]]:
    """Return a mapper class if it can be used under the name of its entry point."""
    if not (isinstance(found, type) and issubclass(found, OwnMapper)):
        raise TypeError(f"expected a subclass of OwnMapper, got {found!r:.80}")
    if inspect.isabstract(found):
        raise TypeError(f"it lacks {', '.join(sorted(found.__abstractmethods__))}")
    anchor = getattr(found, "anchor_type", None)
    if not (isinstance(anchor, type) and issubclass(anchor, TaskAnchor)):
        raise TypeError(f"expected a subclass of TaskAnchor as anchor_type, got {anchor!r:.80}")
    if not re.fullmatch(KIND_NAME, name) or name in RESERVED_KINDS:
        raise ValueError(f"expected a name like 'my-mapper' that is not reserved, got {name!r}")
    kinds = (getattr(found, "kind", None), getattr(anchor, "kind", None))
    if kinds != (name, name):
        raise ValueError(f"expected the kind {name!r} of mapper and anchor, got {kinds}")
    latents = (getattr(found, "latent", None), getattr(anchor, "latent", None))
    if latents not in (("last", "last"), ("multi", "multi")):
        raise ValueError(f"expected one latent, 'last' or 'multi', of both, got {latents}")
    if getattr(found, "privacy", None) not in PRIVACY:
        raise ValueError(f"expected privacy out of {', '.join(PRIVACY)}")
    _check_specs(anchor)
    return found


def _check_specs(anchor: type[TaskAnchor]) -> None:
    letters = set()
    for name, spec in anchor.tensor_specs.items():
        if not re.fullmatch(KIND_NAME, name) or spec.dtype not in DTYPES:
            raise ValueError(f"the tensor {name!r} has a name or dtype that no skill can hold")
        if not 1 <= len(spec.shape) <= 2:
            raise ValueError(f"expected one or two axes of the tensor {name!r}, got {spec.shape}")
        letters |= {letter for letter in spec.shape if isinstance(letter, str)}
    if not letters <= set(SIZES) or "D" not in letters:
        raise ValueError(f"expected sizes out of {', '.join(SIZES)} with D, got {sorted(letters)}")


OWN_MAPPERS = EntryPoints(MAPPERS_GROUP, "mapper", _checked, METHODS)
"""Task mappers of other packages, by the name of their method."""


def make_mapper(
    kind: str,
    metric: Metric,
    source: AnchorSource[Any] | None = None,
    store_of: StoreOf | None = None,
    ridge: float | None = None,
) -> TaskMapper[Any]:
    """Return an empty mapper of the given kind.

    Args:
        kind: name of the method.
        metric: metric of the backbone's multi-depth latents.
        source: function that returns an anchor again, see `MomentsMapper`.
        store_of: function that returns a store for densities, see `MomentsMapper`.
        ridge: ridge of `maha`, for experiments; None for the default.

    Raises:
        ConfigError: the kind is not of teachmesh, and no package offers one that can be used.
    """
    if kind == MomentsMapper.kind:
        return MomentsMapper(metric, source, store_of)
    if kind == MahaMapper.kind and ridge is not None:
        return MahaMapper(ridge)
    return PAPER_MAPPERS[kind]() if kind in PAPER_MAPPERS else OWN_MAPPERS.load(kind)(metric)


def privacy_of(kinds: Collection[str]) -> Privacy:
    """Return the most sensitive data of images in anchors of the given kinds."""
    found: list[Privacy] = ["samples" if MahaMapper.kind in kinds else "statistics"]
    found += [OWN_MAPPERS.load(kind).privacy for kind in kinds if kind not in METHODS]
    return max(found, key=PRIVACY.index)
