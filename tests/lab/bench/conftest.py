"""A run on two tiny tasks, computed once for all tests that only read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from teachmesh.bank.home import Home, resolve_home
from teachmesh_lab.bench.grid_config import BenchConfig, load_config
from teachmesh_lab.bench.job_engine import InProcess
from teachmesh_lab.bench.run_grid import run_bench
from tests.conftest import write_task

TINY = """
name = "tiny"
about = "Two tasks of three colours each."
[[grid]]
source = "{tasks}"
methods = ["moments", "gmmc"]
agents = [1, 2]
"""


@dataclass(frozen=True)
class TinyRun:
    """A finished run.

    Attributes:
        folder: folder of the run.
        home: home with the latents of the tasks in its cache.
        config: configuration of the run.
        file: the configuration as a TOML file.
        summary: document returned by `run_bench`.
        log: sentences logged by `run_bench`.
    """

    folder: Path
    home: Home
    config: BenchConfig
    file: Path
    summary: dict[str, Any]
    log: list[str]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Compute cells of one agent only; real agents have a test of their own."""
    place = tmp_path_factory.mktemp("bench")
    for name in ("warm", "cold"):
        write_task(place / "tasks", name)
    file = place / "tiny.toml"
    file.write_text(TINY.format(tasks=(place / "tasks").as_posix()))
    home = resolve_home(place / "home")
    config, log = load_config(str(file)), list[str]()
    run = place / "run"
    summary = run_bench(config, run, home, lambda: InProcess(run, home), log=log.append)
    return TinyRun(run, home, config, file, summary, log)
