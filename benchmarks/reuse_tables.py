"""The tables of docs/results/reuse.md from the cells of `bench_reuse`.

python -m benchmarks.reuse_tables CELLS
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from benchmarks.reuse_data import Cell, read_pairs
from skillmesh.training.kin import START_GAIN

SHOTS = {"3": "3", "5": "5", "10": "10", "0": "all"}
"""Folders of cells and what they are called."""
WORST = 8
WAYS = ("random start", "moments alone", "in a bank", "with reuse")
"""A trained head, class moments of an agent that knows nothing else, the same beside old tasks, and
`learn --reuse auto`."""


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


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def moments_gain(cell: Cell) -> Gain:
    """Over seeds; where all images are the shots, over test images."""
    right = cell["right"]
    if len(right) > 1:
        return Gain.of([float(np.mean(r[1]) - np.mean(r[0])) if r else 0.0 for r in right])
    return Gain.of(list(np.subtract(right[0][1], right[0][0]))) if right[0] else Gain(0.0, 0.0, 1)


def head_gains(cell: Cell, split: str, gain: float) -> np.ndarray:
    """(seeds,) what the old rows win where the trial asks for so many standard errors."""
    answers, trials = np.array(cell[split]), np.array(cell["gain"])
    taken = (trials > gain) & np.array(cell["beats_closed"])
    return np.where(taken, answers[:, 1] - answers[:, 0], 0.0)


def few(root: Path) -> Iterator[str]:
    """Moments: all ordered pairs; which lose, which win."""
    relation = read_pairs()
    related = {
        (a.split(":")[0], b.split(":")[0]) for (a, b), kind in relation.items() if kind == "same"
    }
    rows = [["shots", "pairs", "seeds", "borrowed", "mean of sharing pairs", "beyond the interval"]]
    worst = [["shots", "new task, old task", "gain"]]
    best: dict[str, dict[str, str]] = {}
    for folder, shown in SHOTS.items():
        found = cells(root / "few" / folder)
        if not found:
            continue
        gains = {name: moments_gain(cell) for name, cell in found.items()}
        used = [n for n, cell in found.items() if any(kind != "nothing" for kind in cell["kinds"])]
        sharing = [gain.mean for n, gain in gains.items() if tuple(n.split("--")) in related]
        losing = [name for name, gain in gains.items() if gain.is_loss]
        seeds = str(max(len(cell["kinds"]) for cell in found.values()))
        mean = f"{np.mean(sharing):+.1f} ({len(sharing)} pairs)"
        rows.append([shown, str(len(found)), seeds, str(len(used)), mean, str(len(losing))])
        lowest = sorted(gains, key=lambda name: gains[name].mean)[:WORST]
        worst += [[shown, n.replace("--", ", "), str(gains[n])] for n in lowest]
        for name, gain in gains.items():
            if tuple(name.split("--")) in related:
                best.setdefault(name.replace("--", ", "), {})[shown] = str(gain)
    yield table(rows)
    yield table(worst)
    columns = [shown for folder, shown in SHOTS.items() if (root / "few" / folder).exists()]
    body = [[name, *(got.get(shown, "") for shown in columns)] for name, got in best.items()]
    yield table([["new task, old task", *columns], *body])


def table_1(root: Path) -> Iterator[str]:
    """Table 1's layout: the paper's head from a random start, class moments alone, and reuse."""
    rows = [["shots", "pairs", *WAYS, "reuse for random start", "reuse for in a bank"]]
    single = [["new task, old task", "shots", *WAYS]]
    for folder, shown in SHOTS.items():
        found, nobody = cells(root / "few" / folder), cells(root / "nobody" / folder)
        values: dict[str, list[float]] = {}
        for name, cell in found.items():
            new = name.split("--")[0]
            ways = four_ways(cell, nobody.get(new)) if cell["shared"] else None
            if ways is not None:
                values[name] = ways
        for least, what in ((0.5, "half or more shared"), (0.0, "any class shared")):
            chosen = [row for name, row in values.items() if found[name]["shared"] >= least]
            if chosen:
                means = np.mean(chosen, axis=0)
                gains = [f"{means[3] - means[i]:+.1f}" for i in (0, 2)]
                label = f"{len(chosen)}, {what}"
                rows.append([shown, label, *(f"{value:.1f}" for value in means), *gains])
        single += [
            [name.replace("--", ", "), shown, *(f"{value:.1f}" for value in row)]
            for name, row in values.items()
            if found[name]["shared"] >= 0.5
        ]
    yield table(rows)
    yield table(single)


def heads(root: Path) -> Iterator[str]:
    """The trained head from both starts, and the choice of the gate on validation images."""
    shown: dict[str, dict[str, str]] = {}
    choice = [
        ["shots", "trial above", "taken", "gain on validation", "gain on test", "losing pairs"]
    ]
    means: dict[str, str] = {}
    for folder, name in SHOTS.items():
        found = cells(root / "heads" / folder)
        if not found:
            continue
        starts = []
        for pair, cell in found.items():
            alone = np.array(cell["test"])[:, 0]
            ours = alone + head_gains(cell, "test", START_GAIN)
            starts.append((alone.mean(), ours.mean()))
            text = f"{100 * alone.mean():.1f} -> {100 * ours.mean():.1f}"
            shown.setdefault(pair.replace("--", ", "), {})[name] = text
        means[name] = " -> ".join(f"{100 * value:.1f}" for value in np.mean(starts, axis=0))
        choice += [_choice(name, found, gain) for gain in (-np.inf, 0.0, 0.5, 1.0, 1.5, 2.0)]
    rows = [[pair, *(got.get(name, "") for name in means)] for pair, got in shown.items()]
    yield table([["new task, old task", *means], *rows, ["mean", *means.values()]])
    yield table(choice)


def _choice(shots: str, found: dict[str, Cell], gain: float) -> list[str]:
    taken = np.mean(
        [
            np.mean((np.array(c["gain"]) > gain) & np.array(c["beats_closed"]))
            for c in found.values()
        ]
    )
    on = {
        split: [Gain.of(list(head_gains(cell, split, gain))) for cell in found.values()]
        for split in ("validation", "test")
    }
    validation, test = (100 * 0.01 * np.mean([g.mean for g in on[split]]) for split in on)
    losing = " / ".join(str(sum(g.is_loss for g in on[split])) for split in on)
    limit = "no limit" if np.isinf(gain) else f"{gain:g}"
    return [shots, limit, f"{100 * taken:.0f} %", f"{validation:+.2f}", f"{test:+.2f}", losing]


def combined(root: Path) -> Iterator[str]:
    """Fig. 13 at epoch 0: no image of the new task."""
    rows = [["new task", "from", "p = 2", "p = infinity", "moments"]]
    for name, cell in cells(root / "combine").items():
        values = [f"{100 * cell[key]:.1f}" for key in ("p = 2", "p = inf", "moments")]
        rows.append([name, ", ".join(cell["from"]), *values])
    yield table(rows)


def matching(root: Path) -> Iterator[str]:
    """Precision and recall against the hand-made list."""
    rows = [["by", "shots", "matches", "precision", "with similar ones", "recall"]]
    for name, cell in cells(root / "matching").items():
        mode, shots = name.rsplit("-", 1)
        kinds = [match[-1] for match in cell["matches"]]
        same, similar = kinds.count("same"), kinds.count("similar")
        total = max(len(kinds), 1)
        precise = [f"{100 * hits / total:.1f} %" for hits in (same, same + similar)]
        recall = f"{100 * same / cell['same_in_all']:.1f} %"
        rows.append([mode, SHOTS[shots], str(len(kinds)), *precise, recall])
    yield table(rows)


def after(root: Path, part: str) -> Iterator[str]:
    """Every task after several others; each task's four ways to learn it, and its gain."""
    for folder, shown in SHOTS.items():
        found, nobody = cells(root / part / folder), cells(root / "nobody" / folder)
        if not found:
            continue
        rows = [[f"new task, {shown} shots", *WAYS, "for random start", "for in a bank"]]
        gains = {name: moments_gain(cell) for name, cell in found.items()}
        ways = {name: four_ways(cell, nobody.get(name)) for name, cell in found.items()}
        for name, gain in gains.items():
            rows.append([name, *_row(ways[name]), str(gain)])
        known = [values for values in ways.values() if values is not None]
        total = np.mean(known, axis=0).tolist() if len(known) == len(ways) else None
        losing = sum(gain.is_loss for gain in gains.values())
        mean = f"{np.mean([gain.mean for gain in gains.values()]):+.1f}"
        yield table([*rows, [f"mean; {losing} lose beyond the interval", *_row(total), mean]])
        yield f"{max(gain.n for gain in gains.values())} seeds.\n"


def four_ways(cell: Cell, nobody: Cell | None) -> list[float] | None:
    """Per cent right in each of `WAYS`; None where not all answers were kept."""
    if nobody is None or not all(cell["right"]):
        return None
    bank, ours = np.mean([np.mean(r, axis=1) for r in cell["right"]], axis=0)
    alone = (np.mean(nobody[key]) for key in ("head", "moments"))
    return [100 * float(value) for value in (*alone, bank, ours)]


def _row(ways: Sequence[float] | None) -> list[str]:
    """The four ways, and what reuse gains over a random start."""
    if ways is None:
        return [""] * 5
    return [*(f"{value:.1f}" for value in ways), f"{ways[3] - ways[0]:+.1f}"]


def main() -> None:
    """Print all tables of a folder of cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=Path)
    root = parser.parse_args().cells
    for title, lines in (
        ("Matching", matching(root)),
        ("Zero images", combined(root)),
        ("Table 1", table_1(root)),
        ("Heads", heads(root)),
        ("Moments, ordered pairs", few(root)),
        ("Moments, after all tasks that share classes", after(root, "kin")),
        ("Moments, after all others", after(root, "bank")),
    ):
        print(f"## {title}\n", *lines, sep="\n")


if __name__ == "__main__":
    main()
