"""The order of work: who shares a training comes last."""

from __future__ import annotations

from teachmesh_lab.bench.cell import Cell
from teachmesh_lab.bench.jobs import in_working_order
from teachmesh_lab.streams.task_stream import StreamSpec

METHODS = ("moments", "gmmc+bb", "ncm", "maha+bb", "moments+bb", "maha+bb-last", "bb-h2t", "ewc")


def cells(seed: int = 0, fingerprint: str = "f") -> list[Cell]:
    """One per method."""
    return [
        Cell(m, StreamSpec(), seed, 1, "embedded", "", (), "digest", fingerprint, "")
        for m in METHODS
    ]


def names(found: list[Cell]) -> list[str]:
    """Their methods."""
    return [cell.method for cell in found]


def test_trainings_start_first_and_who_shares_one_comes_last() -> None:
    """`maha+bb` finds what `gmmc+bb` trained; other layers, heads and latents are other ones."""
    trains = ["gmmc+bb", "moments+bb", "maha+bb-last", "bb-h2t"]
    assert names(in_working_order(cells())) == [*trains, "moments", "ncm", "ewc", "maha+bb"]


def test_other_seeds_and_backbones_share_nothing() -> None:
    """Each stream, backbone and seed has a training of its own; no cell is lost."""
    every = [*cells(), *cells(seed=1), *cells(fingerprint="g")]
    found = in_working_order(every)
    assert names(found).count("maha+bb") == 3
    assert names(found)[-3:] == ["maha+bb"] * 3
    assert sorted(map(id, found)) == sorted(map(id, every))
