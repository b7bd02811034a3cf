"""Cells of `bench_reuse` read back, and what tables are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from teachmesh_lab.studies.reuse_data import SHOTS, Cell

FOLDERS = {str(shots): str(shots) if shots else "all" for shots in SHOTS}
"""Folders of cells by shots and what they are called."""


@dataclass(frozen=True)
class Gain:
    """Mean of differences in points, and half of its 95 % confidence interval."""

    mean: float
    half: float
    n: int

    @classmethod
    def of(cls, differences: Sequence[float]) -> Gain:
        """Of differences of accuracy, 0 to 1; one observation has no interval."""
        values = 100 * np.asarray(differences, dtype=np.float64)
        n = len(values)
        if n < 2:
            return cls(float(values.mean()), float("inf"), n)
        half = float(student_t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)
        return cls(float(values.mean()), half, n)

    @property
    def is_loss(self) -> bool:
        """The whole interval lies below zero."""
        return self.mean + self.half < 0

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half:.1f}"


def cells(folder: Path) -> dict[str, Cell]:
    """Name -> cell of one folder, in the order of names; empty if it is not there."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))
    }


def lowest(shots: str, gains: Mapping[str, Gain], n: int) -> list[list[str]]:
    """Rows of a table: the pairs that lose most, n at most."""
    worst = sorted(gains, key=lambda pair: gains[pair].mean)[:n]
    return [
        [shots, pair.replace("--", ", "), str(gains[pair])]
        for pair in worst
        if gains[pair].mean < 0
    ]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"
