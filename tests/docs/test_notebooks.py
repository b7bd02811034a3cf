"""The notebooks in examples/ run from their first cell to their last."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))


def _cells(name: str) -> list[dict[str, Any]]:
    document = json.loads((EXAMPLES / name).read_text("utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    cells: list[dict[str, Any]] = document["cells"]
    return cells


def test_there_is_one_notebook_per_reader() -> None:
    """A researcher and a product engineer each have one."""
    assert NOTEBOOKS == ["product_engineer.ipynb", "researcher.ipynb"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All code cells run in order in one namespace, in an empty folder, and print results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in _cells(name):
        if cell["cell_type"] == "code":
            code = compile("".join(cell["source"]), f"{name}:{cell['id']}", "exec")
            exec(code, namespace)
    assert len(capsys.readouterr().out.splitlines()) > 5


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_stored_without_outputs(name: str) -> None:
    """A diff shows text and code only; cell ids are unique; each part has a heading."""
    cells = _cells(name)
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            ast.parse("".join(cell["source"]))
    headings = [c["source"][0] for c in cells if c["cell_type"] == "markdown"]
    assert all(heading.startswith("#") for heading in headings)
