"""docs/paper_map.md points at code that exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAPER_MAP = Path(__file__).parents[2] / "docs" / "paper_map.md"
ENTRIES = sorted(set(re.findall(r"`([a-z0-9_/]+)\.py:([\w.]+)`", PAPER_MAP.read_text("utf-8"))))


def test_the_map_has_entries_for_every_equation() -> None:
    """Equations 1 to 5 all appear."""
    text = PAPER_MAP.read_text("utf-8")
    assert "Eq. 1, 2" in text
    for number in (3, 4, 5):
        assert f"| Eq. {number} |" in text


@pytest.mark.parametrize(("module", "symbol"), ENTRIES, ids=[f"{m}:{s}" for m, s in ENTRIES])
def test_each_entry_of_the_paper_map_resolves(module: str, symbol: str) -> None:
    """The file and the symbol that stand in the map exist."""
    name = module.replace("/", ".")
    found = importlib.import_module(name if "teachmesh_lab" in name else f"teachmesh.{name}")
    for part in symbol.split("."):
        found = getattr(found, part)
    assert callable(found)
