from __future__ import annotations

from functools import lru_cache

import pytest

from teachmesh.packet.signing import is_signed
from teachmesh.sharing import messages


@pytest.fixture(autouse=True)
def _each_signature_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All agents of a simulation check the same announcements; the result is the same."""
    monkeypatch.setattr(messages, "is_signed", lru_cache(maxsize=4096)(is_signed))
