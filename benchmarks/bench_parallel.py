"""Speed-up of N real processes that learn parts of the same tasks, with equal skills and answers.

python -m benchmarks.bench_parallel --agents 1,2,4 --tasks 2 --images 320 --json

The tasks are drawn by code and differ like real ones: skills of tasks that are alike would be
quarantined as copies. Each task has an owner, which learns a first few images and invites the
others. Then every agent learns an equal share of each task with one thread. The owners make the
skills of all parts, and every agent receives them. Parts and skills travel through the disk.
"speed-up" is of the duration; "speed-up by work" compares processor time of the busiest agent,
which other jobs disturb less. "correct" is the fraction of new images with the right answer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_agent import SIDE
from benchmarks.grow_tasks import content
from teachmesh_lab.streams.drawn_tasks import DRAWN

FIRST_IMAGES = 16
"""Images of a task that its owner learns before it can invite others."""
ASKED_IMAGES = 16
"""Images of each task that all agents answer."""
TASKS = ("patterns", "hues", "shapes_filled", "glyphs_round", "places", "gratings", "roughness")
"""Names of drawn tasks, one of a kind."""
_agent: Any = None


def run(
    agents: Sequence[int], n_tasks: int, n_images: int, start: Callable[[], Executor] | None = None
) -> dict[str, Any]:
    """Return one row per number of agents, see the docstring of this module.

    Args:
        agents: numbers of agents; the first one is what the others are compared with.
        n_tasks: number of tasks.
        n_images: number of images of each task.
        start: function that starts the executor of one agent; a process of its own by default.
    """
    if not 1 <= n_tasks <= len(TASKS):
        raise SystemExit(f"expected 1 to {len(TASKS)} tasks, got {n_tasks}")
    with tempfile.TemporaryDirectory(prefix="teachmesh-parallel-") as name:
        folder = Path(name)
        for task in TASKS[:n_tasks]:
            write_task(folder / "all" / task, n_images, seed=0)
            write_task(folder / "asked" / task, ASKED_IMAGES, seed=1)
        rows = [_row(folder, count, n_tasks, start or _process) for count in agents]
    for row in rows:
        row["speed-up"] = round(rows[0]["seconds"] / row["seconds"], 3)
        row["speed-up by work"] = round(rows[0]["work_s"] / row["work_s"], 3)
        same = (row["skills"], row["answers"]) == (rows[0]["skills"], rows[0]["answers"])
        row["equal"] = same and row["digests"] == 1
    return {"schema": "teachmesh.parallel/1", "cores": os.cpu_count(), "rows": rows}


def write_task(folder: Path, count: int, seed: int) -> None:
    """Write JPEG files of a drawn task, named by the folder; each class has a folder.

    Args:
        folder: folder of the task.
        count: number of images of all classes together.
        seed: seed for all random numbers.
    """
    task = DRAWN[folder.name]
    for index in range(count):
        label = index % len(task.classes)
        target = folder / task.classes[label]
        target.mkdir(parents=True, exist_ok=True)
        picture = task.paint(label, np.random.default_rng([seed, index])).resize((SIDE, SIDE))
        picture.save(target / f"{index:04}.jpg", quality=90)


def _process() -> Executor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _row(folder: Path, count: int, n_tasks: int, start: Callable[[], Executor]) -> dict[str, Any]:
    tasks = TASKS[:n_tasks]
    base = folder / f"{count} agents"
    homes = [base / f"agent {n}" for n in range(count)]
    for task in tasks:
        _share_out(folder / "all" / task, base / "parts" / task, count)
    pools = [start() for _ in homes]
    try:
        keys = [
            one.submit(open_agent, home).result() for one, home in zip(pools, homes, strict=True)
        ]
        started_s = time.perf_counter()
        mine = [tasks[n::count] for n in range(count)]
        _all(
            pool.submit(begin, base / "parts", own, keys)
            for pool, own in zip(pools, mine, strict=True)
        )
        _all(
            pool.submit(learn_parts, base / "parts", n, tasks, homes)
            for n, pool in enumerate(pools)
        )
        _all(pool.submit(finish, own, homes) for pool, own in zip(pools, mine, strict=True))
        _all(pool.submit(receive, homes) for pool in pools)
        seconds = time.perf_counter() - started_s
        states = _all(pool.submit(state, tasks, folder / "asked") for pool in pools)
    finally:
        for pool in pools:
            pool.shutdown()
    return {
        "agents": count,
        "seconds": round(seconds, 3),
        "work_s": round(max(found["work_s"] for found in states), 3),
        "digests": len({found["digest"] for found in states}),
        **_only([{key: found[key] for key in _EQUAL} for found in states]),
    }


_EQUAL = ("skills", "answers", "correct", "quarantined")


def _only(found: list[dict[str, Any]]) -> dict[str, Any]:
    if any(one != found[0] for one in found):
        raise SystemExit(f"expected equal skills and answers of all agents, got {found}")
    return found[0]


def _share_out(source: Path, target: Path, count: int) -> None:
    """Link the first images to the folder "first", and an equal share of the rest to each agent."""
    files = sorted(source.rglob("*.jpg"), key=lambda file: file.name)
    for n, file in enumerate(files):
        part = "first" if n < FIRST_IMAGES else str(n * count // len(files))
        place = target / part / file.parent.name / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, place)


def _all(futures: Any) -> list[Any]:
    started: list[Future[Any]] = list(futures)
    return [future.result() for future in started]


# Work of one agent, in its own process.


def open_agent(home: Path) -> str:
    """Open the agent of this process and load its backbone; return its public key."""
    global _agent
    import torch

    from teachmesh.agent import Agent

    torch.set_num_threads(1)
    _agent = Agent(home)
    _agent.backbone.macs_per_image  # noqa: B018 - loads the network
    _agent.started_s = time.process_time()
    return str(_agent.key.public_key)


def begin(parts: Path, own: Sequence[str], keys: Sequence[str]) -> None:
    """Learn the first images of the agent's own tasks, and invite all others."""
    others = [key for key in keys if key != _agent.key.public_key]
    for task in own:
        _agent.learn(parts / task / "first", name=task, allow_few=True)
        if others:
            _agent.invite_to_task(task, others)


def learn_parts(parts: Path, number: int, tasks: Sequence[str], homes: Sequence[Path]) -> None:
    """Learn this agent's share of each task."""
    receive(homes)
    own = {info.task for info in _agent.infos() if info.author == _agent.id}
    for task in tasks:
        if not (parts / task / str(number)).exists():
            continue
        way = "add_to" if task in own else "part_of"
        _agent.learn(parts / task / str(number), **{way: task})


def finish(own: Sequence[str], homes: Sequence[Path]) -> None:
    """Collect the parts of the agent's own tasks, and make their skills."""
    from teachmesh.agent.teaching.shared_tasks import publish

    for other in _others(homes):
        for entry in other.bank.parts.entries():
            part = other.bank.parts.load(entry.id)
            if part is not None and part.facts.task in own:
                _agent.bank.parts.add(part)
    publish(_agent)


def receive(homes: Sequence[Path]) -> None:
    """Receive the skills and rosters of all others."""
    for other in _others(homes):
        for skill in sorted({*other.bank.used_ids()} - {*_agent.bank.used_ids()}):
            _agent.receive(other.read(skill))
        for roster in other.bank.parts.rosters():
            _agent.bank.parts.add_roster(roster)


def _others(homes: Sequence[Path]) -> list[Any]:
    from teachmesh.agent import Agent

    return [Agent(home, reading=True) for home in homes if home != _agent.home.path]


def state(tasks: Sequence[str], asked: Path) -> dict[str, Any]:
    """Return digests of the bank, of the skills and of the answers, and the work done so far."""
    work_s = time.process_time() - _agent.started_s
    skills = [content(_agent, task) for task in tasks]
    found = _agent.predict(asked)
    answers = [(a.task, a.class_name, a.probability) for a in found]
    right = [Path(a.image).parts[-3:-1] == (a.task, a.class_name) for a in found]
    return {
        "digest": _agent.digest(),
        "skills": _hash(skills),
        "answers": _hash(answers),
        "correct": round(float(np.mean(right)), 3),
        "quarantined": sorted(_agent.quarantine_reasons().values()),
        "work_s": work_s,
    }


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def main() -> None:
    """Run the processes and print the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--agents", default="1,2,4", help="numbers of processes")
    parser.add_argument("--tasks", type=int, default=2, help="number of tasks")
    parser.add_argument("--images", type=int, default=320, help="images per task")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    document = run([int(n) for n in options.agents.split(",")], options.tasks, options.images)
    if options.json:
        print(json.dumps(document))
        return
    for row in document["rows"]:
        print(", ".join(f"{key}: {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
