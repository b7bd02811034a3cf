"""In which order the cells of a run are computed, so that biases are rarely trained twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from teachmesh.biases.bias_task import base_of
from teachmesh.learning.variants import VARIANTS
from teachmesh_lab.bench.cell import Cell


def in_working_order(cells: Sequence[Cell]) -> list[Cell]:
    """Cells that train biases first, cells that find the same biases trained last.

    Training biases takes longer than all else, so it starts first. `gmmc` and `maha` train the
    same head's biases (`biases.bias_store` keeps them), and two workers that start both at once
    train all of it twice. So the second one comes last; where the first is not done by then, it
    finds what is trained so far and goes on beside it.

    Args:
        cells: in any order; the order within each of the three groups stays.
    """
    seen: set[tuple[Any, ...]] = set()
    groups: tuple[list[Cell], ...] = ([], [], [])
    for cell in cells:
        training = _training(cell)
        if training is None:
            groups[1].append(cell)
        else:
            groups[2 if training in seen else 0].append(cell)
            seen.add(training)
    return [cell for group in groups for cell in group]


def _training(cell: Cell) -> tuple[Any, ...] | None:
    """What two cells have in common that train the same biases; None without biases."""
    variant = VARIANTS.get(cell.method)
    if variant is None or variant.biases is None:
        return None
    base = base_of(variant.method)
    return cell.stream_digest, cell.fingerprint, cell.seed, base, variant.biases
