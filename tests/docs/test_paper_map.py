"""docs/paper_map.md points at code that exists, and at tests that use this code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.docs.symbol_use import uses

PAPER_MAP = Path(__file__).parents[2] / "docs" / "paper_map.md"
TEXT = PAPER_MAP.read_text("utf-8")
ROWS = [line.split(" | ") for line in TEXT.splitlines() if re.match(r"\|.*\.py:", line)]
_ENTRY = re.compile(r"`([a-z0-9_/]+)\.py:([\w.]+)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+)`(?: \(through `(\w+)`\))?")
ENTRIES = {
    f"{module}:{symbol}": (module, symbol, test, through)
    for row in ROWS
    for (module, symbol), (test, through) in zip(
        _ENTRY.findall(row[-2]), _TEST.findall(row[-1]), strict=True
    )
}


def full_name(module: str) -> str:
    """Return the full name of a module on the page."""
    name = module.replace("/", ".")
    return name if name.startswith("teachmesh_lab") else f"teachmesh.{name}"


def test_the_map_has_entries_for_every_equation() -> None:
    """Equations 1 to 5 all appear."""
    assert "Eq. 1, 2" in TEXT
    for number in (3, 4, 5):
        assert f"| Eq. {number} |" in TEXT


def test_nothing_is_missing_without_a_reason() -> None:
    """A row that is not done gives the reason in the same cell, after "because"."""
    for row in ROWS:
        for cell in row:
            open_ends = re.search(r"\b(missing|not yet|other experiment)\b", cell)
            assert open_ends is None or "because" in cell, cell


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_entry_of_the_paper_map_resolves(entry: str) -> None:
    """The file and the symbol exist, and the named test uses the symbol."""
    module, symbol, test, through = ENTRIES[entry]
    found = importlib.import_module(full_name(module))
    for part in symbol.split("."):
        found = getattr(found, part)
    assert callable(found)
    assert uses(test, full_name(module), symbol, through), f"{test} does not use {symbol}"


def test_a_test_that_does_not_use_a_symbol_is_found() -> None:
    """Neither an import alone nor another symbol of the module counts."""
    test = "tests/mapping/test_gmmc.py::test_the_seed_decides_and_nothing_else"
    assert not uses("tests/docs/test_links.py::test_broken_links_are_found", "a", "b")
    with pytest.raises(KeyError):
        uses(test + "_more", "teachmesh.mapping.gmmc", "fit_gmmc")
    here = f"{Path(__file__).relative_to(PAPER_MAP.parents[1])}::test_a_page_has_lines"
    assert not uses(here, "tests.docs.symbol_use", "uses")


def test_a_page_has_lines() -> None:
    """It does not use the checker, although this file imports it."""
    assert TEXT.splitlines()
