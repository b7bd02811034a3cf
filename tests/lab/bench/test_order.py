"""The working order: cells that reuse trained biases come last."""

from __future__ import annotations

import dataclasses

from teachmesh_lab.bench.cell import Cell
from teachmesh_lab.bench.jobs import in_working_order
from teachmesh_lab.streams.task_stream import StreamSpec

METHODS = ("moments", "gmmc+bb", "ncm", "maha+bb", "moments+bb", "maha+bb-last", "bb-h2t", "ewc")

PAPER = "maha+bb-all-always"


def cells(seed: int = 0, fingerprint: str = "f") -> list[Cell]:
    """Return one cell per method."""
    return [
        Cell(m, StreamSpec(), seed, 1, "embedded", "", (), "digest", fingerprint, "")
        for m in METHODS
    ]


def names(found: list[Cell]) -> list[str]:
    """Return the methods of some cells."""
    return [cell.method for cell in found]


def test_trainings_start_first_and_who_shares_one_comes_last() -> None:
    """`maha+bb` reuses the biases of `gmmc+bb`; other layers, heads or latents train their own."""
    trains = ["gmmc+bb", "moments+bb", "maha+bb-last", "bb-h2t"]
    assert names(in_working_order(cells())) == [*trains, "moments", "ncm", "ewc", "maha+bb"]


def test_biases_that_are_kept_or_dropped_are_trained_once() -> None:
    """Whether biases are kept is decided after their training."""
    one, other = (dataclasses.replace(cells()[0], method=m) for m in ("maha+bb-all", PAPER))
    late = dataclasses.replace(one, method="maha+bb")
    assert names(in_working_order([one, other, late])) == ["maha+bb-all", "maha+bb", PAPER]


def test_other_seeds_and_backbones_share_nothing() -> None:
    """Each stream, backbone and seed trains its own biases; no cell is lost."""
    every = [*cells(), *cells(seed=1), *cells(fingerprint="g")]
    found = in_working_order(every)
    assert names(found).count("maha+bb") == 3
    assert names(found)[-3:] == ["maha+bb"] * 3
    assert sorted(map(id, found)) == sorted(map(id, every))
