"""No module imports itself through others, neither at run time nor for types."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"


def imported(tree: ast.AST, modules: set[str]) -> set[str]:
    """Return the modules that any import statement of a file names, nested ones included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules


def import_graph(package: str) -> dict[str, set[str]]:
    """Return module -> imported modules of the same package, without the folders' own files."""
    files = {
        ".".join(path.relative_to(SOURCES).with_suffix("").parts): path
        for path in (SOURCES / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    return {
        name: imported(ast.parse(path.read_text("utf-8")), set(files))
        for name, path in files.items()
    }


@pytest.mark.parametrize("package", ["teachmesh", "teachmesh_lab"])
def test_no_module_imports_itself_through_others(package: str) -> None:
    """A topological order exists; `CycleError` names the circle otherwise."""
    graph = import_graph(package)
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(graph)


def test_a_circle_is_found() -> None:
    """The reader sees imports for types and inside functions."""
    text = "if True:\n    from a.b import c\ndef f():\n    from a import d\n"
    assert imported(ast.parse(text), {"a.b", "a.d"}) == {"a.b", "a.d"}
