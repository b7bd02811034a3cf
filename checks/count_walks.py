"""Run typical operations and count the source files whose functions they call.

    python -m checks.count_walks           # a second predict, a learn, a receive, a bench cell
    python -m checks.count_walks --files   # also list the files

A file counts if one of its functions is called. Functions are listed in the order of their first
calls, including calls in threads that start during the walk. A hop is a pair of neighbours in
this list that belong to different files.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

SOURCES = Path(__file__).parents[1] / "src"


@dataclass(frozen=True)
class Walk:
    """Counts for one operation.

    Attributes:
        name: name of the operation.
        files: number of files of the package in which a function is called.
        functions: number of called functions in these files.
        hops: number of hops between files.
        names: paths of the files, in the order of their first calls.
    """

    name: str
    files: int
    functions: int
    hops: int
    names: tuple[str, ...]


def count(name: str, package: str, work: Callable[[], object]) -> Walk:
    """Run an operation and count the files and functions of a package that it uses.

    Args:
        name: name of the operation.
        package: package to count, `teachmesh` or `teachmesh_lab`.
        work: function that runs the operation; called once.
    """
    folder = f"{SOURCES / package}/"
    called: dict[tuple[str, int, str], None] = {}

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            code = frame.f_code
            called.setdefault((code.co_filename, code.co_firstlineno, code.co_name))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    path = [key[0] for key in called if not key[2].startswith("<")]
    files = tuple(dict.fromkeys(file.removeprefix(folder) for file in path))
    hops = sum(one != other for one, other in pairwise(path))
    return Walk(name, len(files), len(path), hops, files)


def write_task(folder: Path, seed: int) -> Path:
    """Write a task of two classes with eight noise images each, and return its folder."""
    draws = np.random.default_rng(seed)
    for label in ("bright", "dark"):
        (folder / label).mkdir(parents=True)
        low = 100 if label == "bright" else 0
        for i in range(8):
            pixels = draws.integers(low, low + 100, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")
    return folder


def product_walks(scratch: Path) -> list[Walk]:
    """Count for a learn, a second predict and a receive, each with the embedded backbone."""
    from teachmesh import Agent

    task, other = write_task(scratch / "first", 1), write_task(scratch / "second", 2)
    image = next((other / "dark").glob("*.png"))
    agent = Agent(scratch / "home")
    agent.learn(task)
    learn = count("learn", "teachmesh", lambda: agent.learn(other))
    agent.predict(image)
    predict = count("second predict", "teachmesh", lambda: agent.predict(image))
    student = Agent(scratch / "student")
    data = [agent.read(info.id) for info in agent.infos()]
    student.receive(data[0])
    receive = count("receive", "teachmesh", lambda: student.receive(data[1]))
    return [predict, learn, receive]


GRID = """
name = "walk"
about = "One cell."
[[grid]]
source = "{tasks}"
methods = ["{method}"]
agents = [1]
"""


def cell_walk(scratch: Path) -> Walk:
    """Count the laboratory's files and functions for one bench cell with the method `moments`.

    A cell with another method runs first, so that no module is imported during the count.
    """
    from teachmesh.bank.home import resolve_home
    from teachmesh_lab.bench.grid_config import load_config
    from teachmesh_lab.bench.job_engine import InProcess
    from teachmesh_lab.bench.run_grid import run_bench

    for seed in (3, 4):
        for part in ("train", "val", "test"):
            write_task(scratch / "tasks" / f"task{seed}" / part, seed)
    home = resolve_home(scratch / "bench")

    def run(method: str) -> None:
        grid, out = scratch / f"{method}.toml", scratch / f"run-{method}"
        grid.write_text(GRID.format(tasks=(scratch / "tasks").as_posix(), method=method))
        config = load_config(str(grid))
        run_bench(config, out, home, lambda: InProcess(out, home), log=lambda _line: None)

    run("maha")
    return count("bench cell (laboratory)", "teachmesh_lab", lambda: run("moments"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the counts for all operations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--files", action="store_true", help="also list the files of every walk")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        walks = [*product_walks(scratch), cell_walk(scratch)]
    if options.json:
        print(json.dumps([asdict(walk) for walk in walks], indent=1))
        return
    for walk in walks:
        print(f"{walk.name}: {walk.files} files, {walk.functions} functions, {walk.hops} hops")
        if options.files:
            print("  " + "\n  ".join(walk.names))


if __name__ == "__main__":
    main()
