"""The task mappers, by method name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from teachmesh.mapping.gmmc import GmmcMapper
from teachmesh.mapping.maha import MahaMapper
from teachmesh.mapping.mapper import TaskMapper
from teachmesh.mapping.moments import MomentsMapper

MAPPERS: Mapping[str, type[MomentsMapper | GmmcMapper | MahaMapper]] = {
    mapper.kind: mapper for mapper in (MomentsMapper, GmmcMapper, MahaMapper)
}


def make_mapper(kind: str) -> TaskMapper[Any]:
    """Return an empty mapper of the given kind.

    Raises:
        KeyError: the kind is unknown.
    """
    return MAPPERS[kind]()
