"""What a grid was computed from, by content: its streams and its backbone.

A grid names a folder and an alias. Two folders may have the same name, and one folder other images
tomorrow; so results are matched with grids by what was in the folders when the run was planned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teachmesh_lab.bench.cell import Cell
from teachmesh_lab.bench.grid_config import Grid


@dataclass(frozen=True)
class Inputs:
    """Of one grid.

    Attributes:
        stream: name of the stream, for people.
        fingerprint: of the backbone.
        digests: of the stream, by seed: splits and drawings depend on it.
    """

    stream: str
    fingerprint: str
    digests: Mapping[int, str]

    def belongs(self, cell: Cell, grid: Grid) -> bool:
        """Whether a cell is one of the grid."""
        return (
            cell.seed in grid.seeds
            and cell.stream_digest == self.digests[cell.seed]
            and cell.fingerprint == self.fingerprint
            and cell.method in grid.methods
            and cell.options == grid.options_of(cell.method)
            and cell.packing in ("", grid.packing)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        digests = {str(seed): digest for seed, digest in self.digests.items()}
        return {"stream": self.stream, "fingerprint": self.fingerprint, "digests": digests}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Inputs:
        """Read what `to_json` wrote."""
        digests = {int(seed): str(digest) for seed, digest in dict(values["digests"]).items()}
        return cls(str(values["stream"]), str(values["fingerprint"]), digests)
