"""Method name -> anchor and mapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skillmesh.mapping.anchor import TaskAnchor
from skillmesh.mapping.gmmc import GmmcAnchor, GmmcMapper
from skillmesh.mapping.maha import MahaAnchor, MahaMapper
from skillmesh.mapping.mapper import TaskMapper
from skillmesh.mapping.moments import MomentsAnchor, MomentsMapper

ANCHORS: Mapping[str, type[TaskAnchor]] = {
    anchor.kind: anchor for anchor in (MomentsAnchor, GmmcAnchor, MahaAnchor)
}
MAPPERS: Mapping[str, type[MomentsMapper | GmmcMapper | MahaMapper]] = {
    mapper.kind: mapper for mapper in (MomentsMapper, GmmcMapper, MahaMapper)
}


def make_mapper(kind: str) -> TaskMapper[Any]:
    """An empty mapper of a kind.

    Raises:
        KeyError: unknown.
    """
    return MAPPERS[kind]()
