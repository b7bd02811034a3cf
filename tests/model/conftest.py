from __future__ import annotations

import pytest

from teachmesh.model.backbone import Backbone
from tests.kept_passes import COMPUTE


@pytest.fixture(autouse=True)
def _each_pass_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about the passes themselves."""
    monkeypatch.setattr(Backbone, "embed_later", COMPUTE)
