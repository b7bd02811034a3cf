"""Method name -> anchor and mapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.gmmc import GmmcAnchor, GmmcMapper
from teachmesh.mapping.maha import MahaAnchor, MahaMapper
from teachmesh.mapping.mapper import TaskMapper
from teachmesh.mapping.moments import MomentsAnchor, MomentsMapper

ANCHORS: Mapping[str, type[TaskAnchor]] = {
    anchor.kind: anchor for anchor in (MomentsAnchor, GmmcAnchor, MahaAnchor)
}
MAPPERS: Mapping[str, type[MomentsMapper | GmmcMapper | MahaMapper]] = {
    mapper.kind: mapper for mapper in (MomentsMapper, GmmcMapper, MahaMapper)
}


def make_mapper(kind: str) -> TaskMapper[Any]:
    """Return an empty mapper of a kind.

    Raises:
        KeyError: unknown kind.
    """
    return MAPPERS[kind]()
