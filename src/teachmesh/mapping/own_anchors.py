"""Find the anchor of any method, of teachmesh or of another package, without loading torch.

Only an anchor of another package loads torch, because its mapper does.
"""

from __future__ import annotations

from teachmesh.data.entry_points import MAPPERS_GROUP, offered_names
from teachmesh.errors import ConfigError
from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.anchor_kinds import ANCHORS


def is_installed(kind: str) -> bool:
    """Return whether teachmesh or an installed package offers this kind of anchor."""
    return kind in ANCHORS or kind in offered_names(MAPPERS_GROUP)


def anchor_class(kind: str) -> type[TaskAnchor] | None:
    """Return the class for a kind of anchor; None if no mapper of this kind can be used here."""
    if kind in ANCHORS or not is_installed(kind):
        return ANCHORS.get(kind)
    # Imported here because mappers load torch, and few homes hold anchors of other packages.
    from teachmesh.mapping.own_mapper import OWN_MAPPERS

    try:
        return OWN_MAPPERS.load(kind).anchor_type
    except ConfigError:
        return None  # `OWN_MAPPERS.load` gives the reason to those who want to use it
