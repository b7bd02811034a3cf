from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from teachmesh.packet.signing import is_signed
from teachmesh.sharing import messages
from tests.bank.memory_disk import memory_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """An empty folder in memory, because these tests flush thousands of files."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def _each_signature_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All agents of a simulation check the same announcements; the result is the same."""
    monkeypatch.setattr(messages, "is_signed", lru_cache(maxsize=4096)(is_signed))
