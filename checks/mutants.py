"""Change the code in small ways, and see whether the tests notice: make mutate.

    python -m checks.mutants [COUNT] [--seed N] [--folder F] [--room R ...]

A seeded sample of Cosmic Ray's mutants is tested in a copy of the repository. The tests of a mutant
are those of its own room and the doctests of its module. Results are kept in the folder, so that an
interrupted run can go on. Mutants that change only annotations are left out.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ROOMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **{
        room: ((f"src/teachmesh/{room}",), (f"tests/{room}",))
        for room in ("mapping", "packet", "bank", "learning", "biases", "reuse")
    },
    "sharing": (("src/teachmesh/sharing",), ("tests/sharing", "tests/trust")),
    "ledger": (("src/teachmesh_lab/evaluation/cost_ledger.py",), ("tests/lab/test_ledger.py",)),
    "metrics": (("src/teachmesh_lab/evaluation/metrics.py",), ("tests/lab/test_metrics.py",)),
    "ewc": (
        ("src/teachmesh_lab/baselines/ewc.py", "src/teachmesh_lab/baselines/online_ewc.py"),
        ("tests/lab/baselines",),
    ),
}
"""Sources and tests of each room."""
TIMEOUT_S = 900.0
OPTIONS = ("-x", "-q", "--timeout=300")
LOG = "pytest.log"
"""File with the output of the last run of tests, in the copy."""
UNCHANGED = "core/NoOp"
LEFT_OUT = {UNCHANGED, "core/ExceptionReplacer"}
"""Operators that change nothing, or fail for tuples of exceptions."""
PRELOADED = ("torch", "pytest", "PIL.Image", "cryptography", "zenoh")
"""Not hypothesis: pytest changes its plug-ins when they are imported."""


class _Plain(ast.NodeTransformer):
    """Removes annotations, which are never evaluated in this project."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def meaning(code: str) -> str:
    """Return a text that is equal for programs that differ in annotations only."""
    return ast.dump(_Plain().visit(ast.parse(code)))


def modules(room: str) -> list[Path]:
    """Return the modules of a room, relative to the root."""
    found: list[Path] = []
    for source in ROOMS[room][0]:
        path = ROOT / source
        found += sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [path.relative_to(ROOT) for path in found if path.name != "__init__.py"]


def places(path: Path) -> dict[tuple[int, int], list[Any]]:
    """Return the mutations of a module by the place that they change."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names
    from cosmic_ray.work_item import MutationSpec

    nodes = list(ast_nodes(get_ast_from_path(ROOT / path)))
    found: dict[tuple[int, int], list[Any]] = defaultdict(list)
    for name in operator_names():
        if name in LEFT_OUT or get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        positions = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(positions):
            found[start].append(MutationSpec(path, name, occurrence, start, end))
    return found


def mutated(mutation: Any) -> str | None:
    """Return the changed code of a module; None if only annotations change."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    code = (ROOT / mutation.module_path).read_text(encoding="utf-8")
    operator = get_operator(mutation.operator_name)()
    mutant: str | None = mutate_code(code, operator, mutation.occurrence)
    try:
        return mutant if mutant is not None and meaning(mutant) != meaning(code) else None
    except SyntaxError:
        return None


def sample(room: str, count: int, seed: int) -> list[Any]:
    """Draw places of a room, and one mutation of each.

    Modules are read in random order until they have ten times as many places as are drawn.
    """
    rng = random.Random(f"{room} {seed}")
    paths = modules(room)
    rng.shuffle(paths)
    candidates: list[list[Any]] = []
    for path in paths:
        candidates += [group for _, group in sorted(places(path).items())]
        if len(candidates) >= 10 * count:
            break
    rng.shuffle(candidates)
    drawn = (rng.choice(group) for group in candidates)
    return list(itertools.islice((item for item in drawn if mutated(item) is not None), count))


def plan(database: Any, count: int, seed: int, rooms: Iterable[str]) -> None:
    """Add the sample to an empty session: first one unchanged run per room, as a check."""
    from cosmic_ray.work_item import MutationSpec, WorkItem

    rooms = list(rooms)
    for index, room in enumerate(rooms):
        share = count // len(rooms) + (index < count % len(rooms))
        unchanged = MutationSpec(modules(room)[0], UNCHANGED, 0, (1, 0), (1, 1))
        database.add_work_item(WorkItem.single(f"{room} 000 unchanged", unchanged))
        for number, mutation in enumerate(sample(room, share, seed), 1):
            database.add_work_item(WorkItem.single(f"{room} {number:03d}", mutation))


def copy_tree(target: Path) -> None:
    """Copy the files under version control, as they are on the disk now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    shutil.rmtree(target, ignore_errors=True)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def test_files(room: str, path: Path) -> list[str]:
    """Return the module and the tests of its room; tests that name the module come first."""
    files: list[Path] = []
    for name in ROOMS[room][1]:
        found = ROOT / name
        files += sorted(found.rglob("test_*.py")) if found.is_dir() else [found]
    files.sort(key=lambda file: f"{path.stem} " not in file.read_text(encoding="utf-8"))
    return [str(path), *(str(file.relative_to(ROOT)) for file in files)]


def run(database: Any, tree: Path) -> None:
    """Test all mutants that have no result yet."""
    for name in PRELOADED:
        importlib.import_module(name)
    pending = sorted(database.pending_work_items, key=lambda item: str(item.job_id))
    for left, item in zip(range(len(pending) - 1, -1, -1), pending, strict=True):
        (mutation,) = item.mutations
        began_s = time.monotonic()
        result = test_mutant(item.job_id.split()[0], mutation, tree)
        if mutation.operator_name == UNCHANGED and result.is_killed:
            raise SystemExit(f"{item.job_id}: expected tests that pass, see {tree / LOG}")
        database.set_result(item.job_id, result)
        took_s = time.monotonic() - began_s
        print(f"{item.job_id}: {_outcome(result)} in {took_s:.0f} s ({left} left)", flush=True)


def test_mutant(room: str, mutation: Any, tree: Path) -> Any:
    """Change the module in the copy, run the tests, and undo the change."""
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

    path = tree / mutation.module_path
    code = path.read_text(encoding="utf-8")
    mutant = code if mutation.operator_name == UNCHANGED else mutated(mutation) or code
    _write(path, mutant)
    try:
        is_killed = not _tests_pass(test_files(room, mutation.module_path), tree)
    finally:
        _write(path, code)
    lines = difflib.unified_diff(code.split("\n"), mutant.split("\n"), str(mutation.module_path))
    outcome = TestOutcome.KILLED if is_killed else TestOutcome.SURVIVED
    return WorkResult(WorkerOutcome.NORMAL, "", outcome, "\n".join(lines))


def _write(path: Path, code: str) -> None:
    """Write a module with a time that no older bytecode has; bytecode has only whole seconds."""
    newest_s = int(path.stat().st_mtime)
    path.write_text(code, encoding="utf-8")
    os.utime(path, (newest_s + 1, newest_s + 1))


def _tests_pass(files: list[str], tree: Path) -> bool:
    """Run tests in a forked process, which does not have to import torch again."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            code = _pytest(files, tree)
        finally:
            os._exit(code)
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _pytest(files: list[str], tree: Path) -> int:
    import pytest

    log = os.open(tree / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(tree / "src"), str(tree)])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.chdir(tree)
    ours = {str(ROOT), str(ROOT / "src")}
    sys.path[:] = [str(tree / "src"), str(tree), *(p for p in sys.path if p not in ours)]
    return int(pytest.main([*OPTIONS, *files]))


def _outcome(result: Any) -> str:
    return str(result.test_outcome.value if result.test_outcome else result.worker_outcome.value)


def report(database: Any) -> int:
    """Print the share of killed mutants per room, and every survivor; return their number."""
    counts: Counter[tuple[str, str]] = Counter()
    survivors = 0
    for job_id, result in sorted(database.results, key=lambda pair: pair[0]):
        room = job_id.split()[0]
        if job_id.endswith("unchanged"):
            continue
        counts[room, "killed" if result.is_killed else "survived"] += 1
        if not result.is_killed:
            survivors += 1
            changed = [line for line in result.diff.split("\n") if line[:1] in "-+@"][1:]
            print(f"{job_id} survived:", *changed, sep="\n  ")
    for room in dict.fromkeys(room for room, _ in sorted(counts)):
        print(f"{room}: {_share(counts[room, 'killed'], counts[room, 'survived'])}")
    print(f"all: {_share(sum(counts.values()) - survivors, survivors)}")
    return survivors


def _share(killed: int, survived: int) -> str:
    total = killed + survived
    return f"{killed} of {total} killed ({100 * killed / max(1, total):.0f} %)"


def main() -> None:
    """Plan, run and report."""
    from cosmic_ray.work_db import WorkDB, use_db

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--room", action="append", choices=list(ROOMS))
    given = parser.parse_args()
    rooms = given.room or list(ROOMS)
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{'-'.join(given.room or ['all'])}-{given.seed}-{given.count}.sqlite"
    with use_db(str(folder / name), WorkDB.Mode.create) as database:
        if database.num_work_items == 0:
            plan(database, given.count, given.seed, rooms)
        copy_tree(folder / "tree")
        run(database, folder / "tree")
        report(database)


if __name__ == "__main__":
    main()
