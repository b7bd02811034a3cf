"""Plan of a run: its cells and jobs. Jobs of the same phase do not depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from teachmesh.agent.known_skills.skill_fit import latent_sizes
from teachmesh.bank.home import Home
from teachmesh.biases.bias_task import base_of
from teachmesh.data.names import did_you_mean
from teachmesh.data.tasks import Task
from teachmesh.errors import BackboneError
from teachmesh.learning.sample_limits import check_sample_limits
from teachmesh.learning.variants import VARIANTS
from teachmesh.model.backbone_cards import backbone_names, fingerprint_of
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, constants_of, recipe_of
from teachmesh_lab.bench.cell import Cell, Inputs, cell_path
from teachmesh_lab.bench.grid_config import BenchConfig, Grid
from teachmesh_lab.streams.task_stream import open_stream, source_name, stream_digest

Job = Mapping[str, Any]
"""A job as JSON values, so that an engine can send it to any process."""


@dataclass(frozen=True)
class Plan:
    """Everything that one run computes.

    Attributes:
        cells: cells in the order of the grids.
        inputs: streams and backbone of each grid.
        embeddings: jobs that fill the cache of latents, one for each task and backbone.
    """

    cells: tuple[Cell, ...]
    inputs: tuple[Inputs, ...]
    embeddings: tuple[Job, ...]

    def cell_jobs(self, run: Path) -> list[Job]:
        """Return jobs for the one-agent cells that lack a result, in the order of computation."""
        cells = in_working_order(self.cells)
        missing = [cell for cell in cells if not cell_path(run, cell).exists()]
        return [{"kind": "cell", "cell": cell.to_json()} for cell in missing if cell.agents == 1]

    def real_jobs(self, run: Path) -> list[Job]:
        """Return jobs for the cells with several agents that lack a result.

        These jobs start their own processes and are timed, so they must run one at a time.
        """
        missing = [cell for cell in self.cells if not cell_path(run, cell).exists()]
        return [{"kind": "cell", "cell": cell.to_json()} for cell in missing if cell.agents > 1]


def make_plan(config: BenchConfig, home: Home) -> Plan:
    """Open all streams and list all cells.

    Args:
        config: configuration of the run.
        home: home whose backbones and caches are used.

    Raises:
        DataError: a stream cannot be used.
        BackboneError: an unknown backbone.
        UsageError: a skill of `maha` would have too many samples.
    """
    cells: dict[str, Cell] = {}
    inputs: list[Inputs] = []
    embeddings: dict[tuple[Any, ...], Job] = {}
    for grid in config.grids:
        fingerprint = backbone_fingerprint(home, grid.backbone)
        kinds = {check_bench_method(method) for method in grid.methods}
        digests: dict[int, str] = {}
        for seed in grid.seeds:
            stream = open_stream(grid.stream, seed, home.cache / "streams")
            tasks = stream.tasks()
            digest = digests[seed] = stream_digest(tasks)
            _check_limits(grid, tasks, home)
            for cell in _cells(grid, seed, digest, fingerprint):
                # Two grids may contain the same cell; it keeps its first position.
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


def _check_limits(grid: Grid, tasks: Sequence[Task], home: Home) -> None:
    """Check that the skills of the grid's methods do not become too large."""
    methods = {VARIANTS[method].method for method in grid.methods if method in VARIANTS}
    if "maha" not in methods:
        return
    last_dim = latent_sizes(home.backbones, grid.backbone).get("last")
    for task in tasks:
        check_sample_limits(task, methods, constants_of(grid.options), last_dim)


def in_working_order(cells: Sequence[Cell]) -> list[Cell]:
    """Sort cells: those that train biases first, those that reuse trained biases last.

    Training biases takes longest, so it starts first. Cells of `gmmc` and `maha` use the same
    biases. Two workers that start such a pair of cells together would train the biases twice, so
    one cell of the pair comes last. It usually finds the biases in `evaluation.bias_store`.

    Args:
        cells: cells in any order; the order within each of the three groups is kept.
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
    """Return the path of a task's embedding record, relative to the run's folder."""
    return f"embedding/{digest[:12]}-{fingerprint[:12]}/{number:04}.json"


def backbone_fingerprint(home: Home, backbone: str) -> str:
    """Return the fingerprint of a backbone without loading its weights.

    Args:
        home: home with the backbone.
        backbone: alias of the backbone.

    Raises:
        BackboneError: an unknown backbone.
    """
    names = backbone_names(home.backbones)
    if backbone not in names:
        raise BackboneError(
            f"expected a backbone out of {', '.join(sorted(names))}, got {backbone!r}"
            f"{did_you_mean(backbone, names)}; add it with `teachmesh backbone add`"
        )
    return fingerprint_of(home.backbones, backbone)


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


def _training(cell: Cell) -> tuple[Any, ...] | None:
    """Return a key, equal for cells with equal trained biases; None for methods without biases."""
    variant = VARIANTS.get(cell.method)
    if variant is None or variant.biases is None:
        return None
    base, biases = base_of(variant.method), replace(variant.biases, keep="auto")
    return cell.stream_digest, cell.fingerprint, cell.seed, base, biases
