"""A bank in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from teachmesh.bank.store import Bank
from tests.bank.memory_disk import memory_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder in memory, because these tests flush thousands of files."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """An empty bank, closed at the end."""
    with Bank(tmp_path / "bank") as opened:
        yield opened
