"""Find out, without running a test, whether it uses a symbol of the product."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAB_COMMANDS = sorted((ROOT / "src" / "teachmesh_lab" / "cli").glob("*.py"))
MAX_STEPS = 4
"""Maximum number of modules between the one that a test calls and the one that uses a symbol."""


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"))


@cache
def words(node: ast.AST) -> set[str]:
    """Return all names, attributes and parameters in a piece of code."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    found |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return found | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}


@cache
def definitions(path: Path) -> dict[str, ast.AST]:
    """Return functions and classes of a test's file, of `conftest.py` above it, and of helpers."""
    found: dict[str, ast.AST] = {}
    files = [parent / "conftest.py" for parent in reversed(path.parents)] + [path]
    for file in files:
        if file.is_relative_to(ROOT / "tests") and file.exists():
            kinds = (ast.FunctionDef, ast.ClassDef)
            found |= {n.name: n for n in parsed(file).body if isinstance(n, kinds)}
    for name, full in imported(path).items():
        helper = module_path(full.rpartition(".")[0]) if full.startswith("tests.") else None
        if helper is not None and helper != path and name in definitions(helper):
            found = definitions(helper) | found
    return found


@cache
def words_of_test(test: str) -> set[str]:
    """Return the words of a test, and of the helpers and fixtures that it reaches.

    Args:
        test: file and function, such as "tests/docs/test_links.py::test_x".

    Raises:
        KeyError: the file has no such test.
    """
    file, _, name = test.partition("::")
    known = definitions(ROOT / file)
    found, new = {name}, words(known[name])
    while new - found:
        found |= new
        new = set().union(*(words(known[word]) for word in new & known.keys()))
    return found


@cache
def imported(path: Path) -> dict[str, str]:
    """Return the full name of each imported name of a file, imports inside functions included."""
    found = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


@cache
def module_path(name: str) -> Path | None:
    """Return the file of a module; None if it is not a module of the repository."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


@cache
def imports_of_test(test: str) -> dict[str, str]:
    """Return the imports of a test's file, of `conftest.py` above it, and of imported helpers."""
    path = ROOT / test.partition("::")[0]
    files = [path, *(p / "conftest.py" for p in path.parents if (p / "conftest.py").exists())]
    found: dict[str, str] = {}
    for file in files:
        for name, full in imported(file).items():
            found[name] = full
            helper = module_path(full.rpartition(".")[0]) if full.startswith("tests.") else None
            if helper is not None:
                found = imported(helper) | found
    return found


def uses(test: str, module: str, symbol: str, through: str = "") -> bool:
    """Return whether a test uses a symbol itself, or through another symbol that it uses.

    Args:
        test: file and function of the test.
        module: full name of the symbol's module.
        symbol: a function, a class, or `Class.method`.
        through: name of the function through which it is used; empty for direct use. The module of
            that function, or one that it imports within a few steps, must use the symbol.
    """
    owner, _, method = symbol.partition(".")
    known, found = imports_of_test(test), words_of_test(test)
    if through:
        if not {through} & found or through not in known:
            return False
        start = {known[through].rpartition(".")[0]}
        if through == "app":  # the commands of the laboratory are loaded by name
            start |= {f"teachmesh_lab.cli.{f.stem}" for f in LAB_COMMANDS}
        return _reaches(start, module, owner)
    here = [name for name, full in known.items() if full in (f"{module}.{owner}", module)]
    if method:
        return method in found
    return any(name in found for name in here) and (owner in found or owner in known or bool(here))


def _reaches(start: set[str], module: str, owner: str) -> bool:
    """Return whether a module, or those it imports within a few steps, uses a symbol."""
    seen, now = set[str](), start
    for _ in range(MAX_STEPS):
        if module in now and owner in words(parsed(_origin(module))):
            return True
        if any(f"{module}.{owner}" in _uses_of(name) for name in now):
            return True
        seen |= now
        now = {full.rpartition(".")[0] for name in now for full in _uses_of(name)} - seen
        now = {name for name in now if name.startswith("teachmesh")}
    return False


def _origin(module: str) -> Path:
    path = module_path(module)
    assert path is not None, module
    return path


@cache
def _uses_of(module: str) -> frozenset[str]:
    """Return the full names of imported names that a module really mentions in its code."""
    path = module_path(module)
    if path is None:
        return frozenset()
    mentioned = words(parsed(path))
    return frozenset(full for name, full in imported(path).items() if name in mentioned)


def candidates(module: str, symbol: str) -> Iterator[str]:
    """Yield the tests that use a symbol directly, to fill in the page."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in parsed(file).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                test = f"{file.relative_to(ROOT)}::{node.name}"
                if uses(test, module, symbol):
                    yield test
