"""The tables of docs/results/reuse_measured.md from the cells of `bench_reuse`.

python -m teachmesh_lab.studies.reuse_tables CELLS
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from teachmesh.reuse.matching import MODES
from teachmesh_lab.studies.reuse_cells import FOLDERS, Gain, cells, lowest, table
from teachmesh_lab.studies.reuse_data import HALF, Cell, read_pairs
from teachmesh_lab.studies.reuse_head_tables import (
    combined,
    epochs,
    head_pairs,
    heads,
    norms,
    unions,
)

WORST = 8
WAYS = ("random start", "moments alone", "in a bank", "with reuse")
"""A trained head, class moments of an agent that knows nothing else, the same beside old tasks, and
`learn --reuse auto`."""


def moments_gain(cell: Cell) -> Gain:
    """Over seeds; where all images are the shots, over test images."""
    right = cell["right"]
    if len(right) > 1:
        return Gain.of([float(np.mean(r[1]) - np.mean(r[0])) if r else 0.0 for r in right])
    return Gain.of(list(np.subtract(right[0][1], right[0][0]))) if right[0] else Gain(0.0, 0.0, 1)


def few(root: Path) -> Iterator[str]:
    """Moments: all ordered pairs by kind of matching; which lose, which win."""
    head = ["--reuse", "shots", "pairs", "seeds", "borrowed", "mean of sharing pairs"]
    rows = [[*head, "beyond the interval"]]
    worst = [["shots", "new task, old task", "gain"]]
    best: dict[str, dict[str, str]] = {}
    for reuse, folder, shown in _kinds_of_matching():
        found = cells(root / folder)
        if not found:
            continue
        gains = {name: moments_gain(cell) for name, cell in found.items()}
        used = [n for n, cell in found.items() if any(kind != "nothing" for kind in cell["kinds"])]
        sharing = [gain.mean for name, gain in gains.items() if found[name]["shared"]]
        losing = [name for name, gain in gains.items() if gain.is_loss]
        seeds = str(max(len(cell["kinds"]) for cell in found.values()))
        mean = f"{np.mean(sharing):+.1f} ({len(sharing)} pairs)"
        rows.append([reuse, shown, str(len(found)), seeds, str(len(used)), mean, str(len(losing))])
        if reuse == "auto":
            worst += lowest(shown, gains, WORST)
            for name, gain in gains.items():
                if found[name]["shared"]:
                    best.setdefault(name.replace("--", ", "), {})[shown] = str(gain)
    yield table(rows)
    yield table(worst)
    columns = [shown for folder, shown in FOLDERS.items() if (root / "few" / folder).exists()]
    body = [[name, *(got.get(shown, "") for shown in columns)] for name, got in best.items()]
    yield table([["new task, old task", *columns], *body])


def _kinds_of_matching() -> Iterator[tuple[str, str, str]]:
    for reuse in MODES:
        for folder, shown in FOLDERS.items():
            yield reuse, f"few/{folder}" if reuse == "auto" else f"few-{reuse}/{folder}", shown


def table_1(root: Path) -> Iterator[str]:
    """Table 1's layout: the paper's head from a random start, class moments alone, and reuse."""
    rows = [["shots", "pairs", *WAYS, "reuse for random start", "reuse for in a bank"]]
    single = [["new task, old task", "shots", *WAYS]]
    for folder, shown in FOLDERS.items():
        found, nobody = cells(root / "few" / folder), cells(root / "nobody" / folder)
        values: dict[str, list[float]] = {}
        for name, cell in found.items():
            new = name.split("--")[0]
            ways = four_ways(cell, nobody.get(new)) if cell["shared"] else None
            if ways is not None:
                values[name] = ways
        for least, what in ((HALF, "half or more shared"), (0.0, "any class shared")):
            chosen = [row for name, row in values.items() if found[name]["shared"] >= least]
            if chosen:
                means = np.mean(chosen, axis=0)
                gains = [f"{means[3] - means[i]:+.1f}" for i in (0, 2)]
                label = f"{len(chosen)}, {what}"
                rows.append([shown, label, *(f"{value:.1f}" for value in means), *gains])
        single += [
            [name.replace("--", ", "), shown, *(f"{value:.1f}" for value in row)]
            for name, row in values.items()
            if found[name]["shared"] >= HALF
        ]
    yield table(rows)
    yield table(single)


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
        rows.append([mode, FOLDERS[shots], str(len(kinds)), *precise, recall])
    yield table(rows)


def after(root: Path, part: str) -> Iterator[str]:
    """Every task after several others; each task's four ways to learn it, and its gain."""
    sharing = {one.split(":")[0] for (one, _), kind in read_pairs().items() if kind == "same"}
    for folder, shown in FOLDERS.items():
        found, nobody = cells(root / part / folder), cells(root / "nobody" / folder)
        if not found:
            continue
        rows = [[f"new task, {shown} shots", *WAYS, "for random start", "for in a bank"]]
        gains = {name: moments_gain(cell) for name, cell in found.items()}
        ways = {name: four_ways(cell, nobody.get(name)) for name, cell in found.items()}
        for name, gain in gains.items():
            rows.append([name, *_row(ways[name]), str(gain)])
        losing = sum(gain.is_loss for gain in gains.values())
        for what, names in (
            (f"mean; {losing} lose beyond the interval", set(found)),
            ("mean of those that share classes", set(found) & sharing),
        ):
            known = [row for name in names if (row := ways[name]) is not None]
            total = np.mean(known, axis=0).tolist() if len(known) == len(names) > 0 else None
            mean = f"{np.mean([gains[name].mean for name in names]):+.1f}" if names else ""
            rows.append([f"{what} ({len(names)})", *_row(total), mean])
        yield table(rows)
        yield f"{max(gain.n for gain in gains.values())} seeds.\n"


def four_ways(cell: Cell, nobody: Cell | None) -> list[float] | None:
    """Per cent right in each of `WAYS`; None where not all answers were kept."""
    if nobody is None or not all(cell["right"]):
        return None
    bank, ours = np.mean([np.mean(r, axis=1) for r in cell["right"]], axis=0)
    seeds = len(cell["right"])
    alone = (np.mean(nobody[key][:seeds]) for key in ("head", "moments"))
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
        ("Fig. 13: unions of two tasks", unions(root)),
        ("Heads trained under a norm", norms(root)),
        ("Heads, ordered pairs", heads(root)),
        ("Heads, pairs that share half or more", head_pairs(root)),
        ("Heads, epochs", epochs(root)),
        ("Moments, ordered pairs", few(root)),
        ("Moments, after all tasks that share classes", after(root, "prior")),
        ("Moments, after all others", after(root, "bank")),
    ):
        print(f"## {title}\n", *lines, sep="\n")


if __name__ == "__main__":
    main()
