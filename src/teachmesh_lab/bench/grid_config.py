"""Configurations of runs: grids, read from presets and TOML files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import read_file
from teachmesh.data.names import did_you_mean
from teachmesh.errors import UsageError
from teachmesh_lab.bench.baseline_options import Scalar
from teachmesh_lab.bench.bench_methods import (
    GROUPS,
    Kind,
    bench_methods,
    check_bench_method,
    check_mapper_options,
    check_training_options,
    expand_lists,
    expand_methods,
    options_in_use,
    options_of,
)
from teachmesh_lab.bench.bias_grid_keys import BIAS_KEYS, take_bias_keys
from teachmesh_lab.bench.toml_text import read_toml, write_toml
from teachmesh_lab.evaluation.cost_ledger import ALPHA, EQUAL, PACKINGS
from teachmesh_lab.streams.task_stream import StreamSpec

SCHEMA = "teachmesh.bench-config/1"
_SEEDS_END = 2**63
"""Seeds must be smaller than this number, a limit of torch's generators."""

_OWN = (Kind.OURS, Kind.ADAPTED)


@dataclass(frozen=True)
class Grid:
    """All combinations of methods, seeds and numbers of agents on one stream.

    Attributes:
        methods: names of methods from `bench_methods`; files may also contain group names.
        stream: source and order of the tasks.
        backbone: alias of the backbone that the methods work on.
        seeds: seeds for all random choices.
        agents: numbers of agents, always including 1, the basis of all comparisons.
        real: methods to measure with N real processes; each must be a task mapper without biases.
            For all other methods, rows of N agents are derived from counted costs.
        packing: how tasks are assigned to agents.
        options: training options of the baselines, and constants of task mappers.
    """

    methods: tuple[str, ...]
    stream: StreamSpec = field(default_factory=StreamSpec)
    backbone: str = "embedded"
    seeds: tuple[int, ...] = (0,)
    agents: tuple[int, ...] = (1,)
    real: tuple[str, ...] = ()
    packing: str = "longest-first"
    options: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for method in self.methods:
            check_bench_method(method)
        if not self.methods or not self.seeds:
            raise UsageError("expected at least one method and one seed in a grid, got none")
        self._check_numbers()
        self._check_real()
        if self.packing not in (*PACKINGS, EQUAL):
            known = ", ".join((*PACKINGS, EQUAL))
            raise UsageError(f"expected a packing out of {known}, got {self.packing!r}")
        check_training_options(self.options, self.methods)
        own = [m for m in self.methods if check_bench_method(m) in _OWN]
        check_mapper_options(self.options, own, self.real)

    def _check_numbers(self) -> None:
        if not self.agents or min(self.agents) < 1:
            raise UsageError(f"expected numbers of agents of at least 1, got {list(self.agents)}")
        if 1 not in self.agents:
            raise UsageError(f"expected 1 among the numbers of agents, got {list(self.agents)}")
        if not all(0 <= seed < _SEEDS_END for seed in self.seeds):
            raise UsageError(f"expected seeds of at least 0, below 2^63, got {list(self.seeds)}")
        for what, values in (("number of agents", self.agents), ("seed", self.seeds)):
            if len(set(values)) < len(values):
                raise UsageError(f"expected every {what} once, got {list(values)}")

    def _check_real(self) -> None:
        """Check that every method in `real` supports real processes and is part of the grid."""
        for method in self.real:
            if check_bench_method(method) is not Kind.OURS:
                known = ", ".join(m for m, kind in bench_methods().items() if kind is Kind.OURS)
                raise UsageError(
                    f"expected task mappers without biases in 'real' ({known}), got {method!r}"
                )
            if method not in self.methods:
                raise UsageError(f"expected methods of the grid in 'real', got {method!r}")
        if self.real and max(self.agents) == 1:
            raise UsageError("expected a number of agents above 1 in a grid with 'real', got none")

    def options_of(self, method: str) -> tuple[tuple[str, Scalar], ...]:
        """Return the sorted options that affect a method's cells."""
        return tuple(sorted(options_of(method, self.options).items()))


@dataclass(frozen=True)
class BenchConfig:
    """Configuration of a run.

    Attributes:
        name: name of the preset or file.
        grids: grids to compute.
        about: description of the methods, requirements and duration.
        expected: description of the approximate results.
        alpha: multiply-accumulates per byte in tables and figures.

    Raises:
        UsageError: alpha is not a finite number of at least 0.
    """

    name: str
    grids: tuple[Grid, ...]
    about: str = ""
    expected: str = ""
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        check_alpha(self.alpha)

    def to_toml(self) -> str:
        """Return the configuration as TOML that `parse_config` can read."""
        document: dict[str, Any] = {"schema": SCHEMA}
        document |= {key: getattr(self, key) for key in ("name", "about", "expected", "alpha")}
        document["grid"] = [_grid_table(grid) for grid in self.grids]
        return write_toml(document)


@dataclass(frozen=True)
class Overrides:
    """Changes that the command line makes to every grid; None keeps the grid's value.

    Attributes:
        source: source of the tasks.
        backbone: alias of the backbone.
        methods: methods or groups to keep; the others are removed.
        seeds: new seeds.
        agents: new numbers of agents.
    """

    source: str | None = None
    backbone: str | None = None
    methods: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    agents: tuple[int, ...] | None = None


def check_alpha(alpha: float) -> None:
    """Check the cost of a byte in multiply-accumulates.

    Raises:
        UsageError: alpha is not a finite number of at least 0.
    """
    if not 0 <= alpha < math.inf:
        raise UsageError(f"expected an alpha that is a number of at least 0, got {alpha:g}")


def preset_names() -> list[str]:
    """Return the sorted names of the presets in the package."""
    folder = resources.files("teachmesh_lab.bench") / "presets"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load_config(name_or_path: str) -> BenchConfig:
    """Read a preset, or a file if the name ends in `.toml`.

    Raises:
        UsageError: an unknown preset, invalid TOML, an unknown key or an invalid value.
        StorageError: the file cannot be read.
    """
    if name_or_path.endswith(".toml"):
        text = read_file(Path(name_or_path)).decode("utf-8", "replace")
        return parse_config(text, name_or_path)
    names = preset_names()
    if name_or_path not in names:
        raise UsageError(
            f"expected a preset out of {', '.join(names)} or a .toml file, got "
            f"{name_or_path!r}{did_you_mean(name_or_path, names)}"
        )
    folder = resources.files("teachmesh_lab.bench") / "presets"
    return parse_config((folder / f"{name_or_path}.toml").read_text("utf-8"), name_or_path)


def parse_config(text: str, source: str) -> BenchConfig:
    """Read a configuration.

    Args:
        text: TOML.
        source: name used in messages, and as the name of the run if the text has none.

    Raises:
        UsageError: invalid TOML, an unknown key or an invalid value.
    """
    document = read_toml(text, source)
    if document.pop("schema", SCHEMA) != SCHEMA:
        raise UsageError(f"expected a configuration of schema {SCHEMA!r} in '{source}'")
    tables = document.pop("grid", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"expected [[grid]] tables in '{source}', got {tables!r}")
    if not tables:
        raise UsageError(f"expected at least one [[grid]] in '{source}', got none")
    known = [item.name for item in dataclasses.fields(BenchConfig) if item.name != "grids"]
    _check_keys(document, known, source)
    _check_values(document, source)
    document.setdefault("name", Path(source).stem)
    document["alpha"] = float(document.get("alpha", ALPHA))
    grids = tuple(grid for table in tables for grid in _grids(table, source))
    return BenchConfig(grids=grids, **document)


def override(config: BenchConfig, changes: Overrides) -> BenchConfig:
    """Apply the changes of the command line to every grid.

    A changed configuration has no description and no expected figures, which are those of the
    preset's own tasks, methods and seeds.

    Raises:
        UsageError: a method occurs in no grid, or a number is invalid.
    """
    wanted = changes.methods
    if wanted is not None:
        changes = dataclasses.replace(changes, methods=expand_methods(wanted))
    grids = [_override_grid(grid, changes) for grid in config.grids]
    kept = tuple(grid for grid in grids if grid is not None)
    # A group stands for those of its methods that the grids have.
    named = {name for name in wanted or () if name not in GROUPS}
    unknown = named - {method for grid in kept for method in grid.methods}
    if unknown or not kept:
        every = sorted({method for grid in config.grids for method in grid.methods})
        raise UsageError(
            f"expected methods of '{config.name}' ({', '.join(every)}), got "
            f"{', '.join(sorted(unknown) or wanted or ())}"
        )
    if kept == config.grids:
        return config
    return dataclasses.replace(config, grids=kept, about="", expected="")


def _override_grid(grid: Grid, changes: Overrides) -> Grid | None:
    methods = grid.methods
    if changes.methods is not None:
        methods = tuple(method for method in methods if method in changes.methods)
    if not methods:
        return None
    stream = grid.stream
    if changes.source is not None:
        stream = dataclasses.replace(stream, source=changes.source)
    agents = grid.agents if changes.agents is None else tuple(sorted({1, *changes.agents}))
    return dataclasses.replace(
        grid,
        methods=methods,
        options=options_in_use(methods, grid.options),
        real=tuple(m for m in grid.real if m in methods) if max(agents) > 1 else (),
        stream=stream,
        backbone=changes.backbone or grid.backbone,
        seeds=changes.seeds or grid.seeds,
        agents=agents,
    )


_WORD, _WORDS = (str, "a text"), (str, "a list of texts")
_COUNT, _COUNTS = (int, "a whole number"), (int, "a list of whole numbers")
_TYPES: Mapping[str, tuple[Any, str]] = {
    "name": _WORD,
    "about": _WORD,
    "expected": _WORD,
    "alpha": ((int, float), "a number"),
    "source": _WORD,
    "only": _WORDS,
    "limit": _COUNT,
    "order": _WORD,
    "root": _WORD,
    "per_class": _COUNT,
    "methods": _WORDS,
    "backbone": _WORD,
    "seeds": _COUNTS,
    "agents": _COUNTS,
    "real": _WORDS,
    "packing": _WORD,
    "options": (dict, "a table"),
    **dict.fromkeys(BIAS_KEYS, _WORD),
}
"""Key -> type of its value or list items, and a description of the value for messages."""
_STREAM_KEYS = tuple(item.name for item in dataclasses.fields(StreamSpec))
_GRID_KEYS = tuple(item.name for item in dataclasses.fields(Grid) if item.name != "stream")


def _grids(table: Mapping[str, Any], source: str) -> list[Grid]:
    """Return one grid, or several if an option has a list of values."""
    options = table.get("options", {})
    if not isinstance(options, dict):
        return [_grid(table, source)]
    if empty := [name for name, value in options.items() if value == []]:
        raise UsageError(f"expected a value of option {empty[0]!r} in '{source}', got []")
    return [_grid({**table, "options": one}, source) for one in expand_lists(options)]


def _grid(table: Mapping[str, Any], source: str) -> Grid:
    _check_keys(table, (*_STREAM_KEYS, *_GRID_KEYS, *BIAS_KEYS), source)
    _check_values(table, source)
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in table.items()
    }
    stream = StreamSpec(**{key: values.pop(key) for key in _STREAM_KEYS if key in values})
    if "methods" not in values:
        raise UsageError(f"expected methods in every [[grid]] of '{source}'")
    for key in ("methods", "real"):
        values[key] = expand_methods(values.get(key, ()))
    take_bias_keys(values)
    return Grid(stream=stream, **values)


def _grid_table(grid: Grid) -> dict[str, Any]:
    stream = {key: getattr(grid.stream, key) for key in _STREAM_KEYS}
    own = {key: getattr(grid, key) for key in _GRID_KEYS}
    return {k: v for k, v in (stream | own).items() if v is not None and v not in ((), {})}


def _check_values(table: Mapping[str, Any], source: str) -> None:
    """Check that every value has the type that its key requires."""
    for key, value in table.items():
        kind, what = _TYPES[key]
        inside = value if isinstance(value, list) else [value]
        fits = isinstance(value, list) == what.startswith("a list")
        # In Python a bool is also an int.
        if not fits or not all(isinstance(v, kind) and not isinstance(v, bool) for v in inside):
            raise UsageError(f"expected {what} for {key!r} in '{source}', got {value!r}")


def _check_keys(table: Mapping[str, Any], known: Sequence[str], source: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"unknown key {key!r} in '{source}'{did_you_mean(key, known)}")
