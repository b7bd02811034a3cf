"""Ways to write class moments, as text."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from teachmesh.errors import UsageError
from teachmesh.learning.skill_bytes import PACKINGS
from teachmesh_lab.evaluation.packing_text import FULL, read_packing


def test_a_way_of_writing_can_be_named() -> None:
    """Three numbers in their ranges, or `full`; everything else is refused in one sentence."""
    for packing in PACKINGS:
        assert read_packing(",".join(map(str, astuple(packing)))) == packing
    assert read_packing(FULL) is None
    assert read_packing(None) is None
    for text in ("", "2", "2,32", "2,32,4,1", "0,32,4", "5,32,4", "2,0,4", "2,32,5", "2,x,4", "a"):
        with pytest.raises(UsageError, match=f"got '{text}'$"):
            read_packing(text)
