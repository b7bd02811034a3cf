"""docs/architecture.md shows the three walks as they run."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import teachmesh
from teachmesh.agent import Agent

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)\n```", PAGE, flags=re.MULTILINE | re.DOTALL)
WALKS = (Agent.predict_many, Agent.learn, Agent.receive)
MOST_STATEMENTS = 14


def without_docstring(function: Callable[..., object]) -> str:
    """The source of a method, dedented, without its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    docstring = definition.body[0]
    lines = source.splitlines()
    del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "\n".join(lines)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_the_page_shows_the_code_that_runs(walk: Callable[..., object]) -> None:
    """Every walk is a block of the page, character by character, and has about 12 lines."""
    source = without_docstring(walk)
    assert source in BLOCKS, f"copy this into docs/architecture.md:\n\n{source}"
    definition = ast.parse(source).body[0]
    statements = [node for node in ast.walk(definition) if isinstance(node, ast.stmt)]
    assert len(statements) - 1 <= MOST_STATEMENTS


def test_the_page_names_modules_that_exist() -> None:
    """Every `layer.module` in the page is a file of the product."""
    root = Path(teachmesh.__file__).parent
    layers = "|".join(path.name for path in root.iterdir() if path.is_dir())
    found = re.findall(rf"`((?:{layers})(?:\.\w+)+)`", PAGE)
    missing = {name for name in found if not _is_module(root, name)}
    assert len(found) > 20
    assert missing == set()


def _is_module(root: Path, name: str) -> bool:
    """Whether a dotted name begins with a layer and a module in it or in a folder of it."""
    layer, first, *rest = name.split(".")
    folder = root / layer / first
    if folder.is_dir() and rest:
        return (folder / f"{rest[0]}.py").is_file()
    return folder.is_dir() or folder.with_suffix(".py").is_file()
