"""What a run has to do: jobs that do not depend on each other within a phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachmesh.bank.home import Home
from teachmesh.biases.bias_task import base_of
from teachmesh.data.names import did_you_mean
from teachmesh.errors import BackboneError
from teachmesh.learning.variants import VARIANTS
from teachmesh.model.backbone_registry import known_fingerprints
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, recipe_of
from teachmesh_lab.bench.cell import Cell, Inputs, cell_path
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.streams.task_stream import open_stream, source_name, stream_digest

Job = Mapping[str, Any]
"""JSON values, so that any engine can hand it to any process."""


@dataclass(frozen=True)
class Plan:
    """Everything that one run computes.

    Attributes:
        cells: in the order of the grids.
        inputs: one per grid.
        embeddings: jobs that fill the cache, one per task of each stream and backbone.
    """

    cells: tuple[Cell, ...]
    inputs: tuple[Inputs, ...]
    embeddings: tuple[Job, ...]

    def cell_jobs(self, run: Path) -> list[Job]:
        """Jobs of the cells whose results are not there yet; real ones last and alone."""
        cells = in_working_order(self.cells)
        missing = [cell for cell in cells if not cell_path(run, cell).exists()]
        return [{"kind": "cell", "cell": cell.to_json()} for cell in missing if cell.agents == 1]

    def real_jobs(self, run: Path) -> list[Job]:
        """Jobs that start processes of their own: one at a time, or clocks would say nothing."""
        missing = [cell for cell in self.cells if not cell_path(run, cell).exists()]
        return [{"kind": "cell", "cell": cell.to_json()} for cell in missing if cell.agents > 1]


def make_plan(config: BenchConfig, home: Home) -> Plan:
    """Open all streams and list all cells.

    Args:
        config: what to compare.
        home: backbones and caches.

    Raises:
        DataError: a stream cannot be used.
        BackboneError: an unknown backbone.
    """
    cells: dict[str, Cell] = {}
    inputs: list[Inputs] = []
    embeddings: dict[tuple[Any, ...], Job] = {}
    for grid in config.grids:
        fingerprint = _fingerprint(home, grid.backbone)
        kinds = {check_bench_method(method) for method in grid.methods}
        digests: dict[int, str] = {}
        for seed in grid.seeds:
            stream = open_stream(grid.stream, seed, home.cache / "streams")
            tasks = stream.tasks()
            digest = digests[seed] = stream_digest(tasks)
            for cell in _cells(grid, seed, digest, fingerprint):
                # Two grids may ask for the same cell; the first one keeps its place.
                cells.setdefault(cell.key, cell)
            if kinds != {Kind.TRAINED}:
                for number, task in enumerate(tasks):
                    embeddings[digest, fingerprint, number] = {
                        "kind": "embed",
                        "stream": _stream_json(grid),
                        "seed": seed,
                        "backbone": grid.backbone,
                        "number": number,
                        "task": task.name,
                        "record": record_name(digest, fingerprint, number),
                    }
        inputs.append(Inputs(source_name(grid.stream.source), fingerprint, digests))
    return Plan(tuple(cells.values()), tuple(inputs), tuple(embeddings.values()))


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


def record_name(digest: str, fingerprint: str, number: int) -> str:
    """File of the seconds that the backbone needs for one task, inside a run's folder."""
    return f"embedding/{digest[:12]}-{fingerprint[:12]}/{number:04}.json"


def _cells(grid: Grid, seed: int, digest: str, fingerprint: str) -> list[Cell]:
    found = []
    for method in grid.methods:
        counts: Sequence[int] = (1, *(n for n in grid.agents if n > 1 and method in grid.real))
        found += [
            Cell(
                method,
                grid.stream,
                seed,
                agents,
                grid.backbone,
                grid.packing if agents > 1 else "",
                grid.options_of(method),
                digest,
                fingerprint,
                recipe_of(method),
            )
            for agents in counts
        ]
    return found


def _stream_json(grid: Grid) -> dict[str, Any]:
    return dict(vars(grid.stream))


def _fingerprint(home: Home, backbone: str) -> str:
    by_name = {name: print_ for print_, name in known_fingerprints(home.backbones).items()}
    if backbone not in by_name:
        raise BackboneError(
            f"expected a backbone out of {', '.join(sorted(by_name))}, got {backbone!r}"
            f"{did_you_mean(backbone, by_name)}; add it with `teachmesh backbone add`"
        )
    return by_name[backbone]


def _training(cell: Cell) -> tuple[Any, ...] | None:
    """What two cells have in common that train the same biases; None without biases."""
    variant = VARIANTS.get(cell.method)
    if variant is None or variant.biases is None:
        return None
    base = base_of(variant.method)
    return cell.stream_digest, cell.fingerprint, cell.seed, base, variant.biases
