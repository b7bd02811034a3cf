"""The curve of accuracy against bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teachmesh_lab.figures.bytes_curve import COLUMNS, curve, main


def document(skill_bytes: float, share: float) -> dict[str, dict[str, float]]:
    """Return the part of a document of `evaluate` that is drawn."""
    return {"mean": {"skill_bytes": skill_bytes, **dict.fromkeys(COLUMNS, share)}}


def test_the_smallest_skills_come_first() -> None:
    """Whatever the order of the documents."""
    points = curve([document(8e3, 0.9), document(1e3, 0.5)])
    assert [(x, y["direct"]) for x, y in points] == [(1.0, 50.0), (8.0, 90.0)]


def test_documents_are_drawn_into_a_folder(tmp_path: Path) -> None:
    """As SVG and PNG, with a legend; without documents, the usage is shown."""
    pytest.importorskip("matplotlib")
    files = []
    for name, share in (("small", 0.5), ("full", 0.9)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(document(2e4 * share, share)), "utf-8")
    assert main([str(tmp_path / "out"), *map(str, files)]) == 0
    drawn = (tmp_path / "out" / "bytes-curve.svg").read_text("utf-8")
    assert all(f">{name}<" in drawn for name in COLUMNS)
    assert main([str(tmp_path)]) == 2
