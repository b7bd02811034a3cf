"""Tables of docs/results/reuse_measured.md: matching, Table 1, and few shots with moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.reuse.matching import MODES
from teachmesh_lab.evaluation.metrics import t_quantile
from teachmesh_lab.studies.reuse_tasks import HALF, SHOTS, read_pairs
from teachmesh_lab.studies.study_cells import StudyResult, Values, markdown, select

Results = Sequence[StudyResult]
SHOWN_SHOTS = {shots: str(shots) if shots else "all" for shots in SHOTS}
"""Table label of each number of images per class."""
WORST = 8
WAYS = ("random start", "moments alone", "in a bank", "with reuse")
"""A trained head, class moments outside and inside a bank, and `learn --reuse auto`."""


@dataclass(frozen=True)
class Gain:
    """Mean difference in percentage points, and half the width of its 95 % confidence interval."""

    mean: float
    half: float
    n: int

    @classmethod
    def of(cls, differences: Sequence[float]) -> Gain:
        """Compute the gain from accuracy differences (0 to 1); one difference has no interval."""
        values = 100 * np.asarray(differences, dtype=np.float64)
        n = len(values)
        if n < 2:
            return cls(float(values.mean()), float("inf"), n)
        half = float(t_quantile(n - 1) * values.std(ddof=1) / n**0.5)
        return cls(float(values.mean()), half, n)

    @property
    def is_loss(self) -> bool:
        """Whether the whole confidence interval lies below zero."""
        return self.mean + self.half < 0

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half:.1f}"


def title(result: StudyResult) -> str:
    """Return the task names of a cell, as "new task" or "new task, old task"."""
    arguments = result.cell.arguments
    return ", ".join(arguments[key] for key in ("new", "old") if key in arguments)


def by_task(results: Results) -> dict[str, Values]:
    """Map the title of each result to its values, in alphabetical order of titles."""
    return {title(result): result.values for result in sorted(results, key=title)}


def lowest(shots: str, gains: Mapping[str, Gain], n: int) -> list[list[str]]:
    """Return table rows for the (at most) n pairs that lose the most accuracy."""
    worst = sorted(gains, key=lambda pair: gains[pair].mean)[:n]
    return [[shots, pair, str(gains[pair])] for pair in worst if gains[pair].mean < 0]


def moments_gain(values: Values) -> Gain:
    """Return the gain from transfer over all seeds, or over test images with one seed."""
    right = values["right"]
    if len(right) > 1:
        return Gain.of([float(np.mean(r[1]) - np.mean(r[0])) if r else 0.0 for r in right])
    return Gain.of(list(np.subtract(right[0][1], right[0][0]))) if right[0] else Gain(0.0, 0.0, 1)


def few_tables(results: Results) -> Iterator[str]:
    """Yield tables of gains with class moments: for all ordered, worst, and related pairs."""
    head = ["--reuse", "shots", "pairs", "seeds", "pairs with reuse", "mean gain of sharing pairs"]
    rows = [[*head, "pairs that lose"]]
    worst = [["shots", "new task, old task", "gain"]]
    pairs: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for reuse in MODES:
        for shots, shown in SHOWN_SHOTS.items():
            found = by_task(select(results, "few", reuse=reuse, shots=shots))
            if not found:
                continue
            gains = {name: moments_gain(values) for name, values in found.items()}
            rows.append([reuse, shown, *_summary(found, gains)])
            if reuse == "auto":
                columns.append(shown)
                worst += lowest(shown, gains, WORST)
                for name, gain in gains.items():
                    if found[name]["shared"]:
                        pairs.setdefault(name, {})[shown] = str(gain)
    yield markdown(rows)
    yield markdown(worst)
    body = [[name, *(got.get(shown, "") for shown in columns)] for name, got in pairs.items()]
    yield markdown([["new task, old task", *columns], *body])


def _summary(found: Mapping[str, Values], gains: Mapping[str, Gain]) -> list[str]:
    """Return table cells: pairs, seeds and transfers (counts), mean gain, and losing pairs."""
    used = [values for values in found.values() if set(values["kinds"]) != {"nothing"}]
    related = [gain.mean for name, gain in gains.items() if found[name]["shared"]]
    losing = sum(gain.is_loss for gain in gains.values())
    seeds = max(len(values["kinds"]) for values in found.values())
    mean = f"{np.mean(related):+.1f} ({len(related)} pairs)"
    return [str(len(found)), str(seeds), str(len(used)), mean, str(losing)]


def table_1(results: Results) -> Iterator[str]:
    """Yield Table 1 averaged over pairs, then by pair; each of `WAYS` has a column."""
    rows = [["shots", "pairs", *WAYS, "over random start", "from reuse"]]
    single = [["new task, old task", "shots", *WAYS]]
    for shots, shown in SHOWN_SHOTS.items():
        found = select(results, "few", reuse="auto", shots=shots)
        alone = by_task(select(results, "alone", shots=shots))
        ways = {
            title(result): row
            for result in sorted(found, key=title)
            if result.values["shared"]
            and (row := four_ways(result.values, alone.get(result.cell.arguments["new"])))
        }
        half = {title(result) for result in found if result.values["shared"] >= HALF}
        close = {name: row for name, row in ways.items() if name in half}
        for chosen, label in ((close, "half or more shared"), (ways, "any class shared")):
            if chosen:
                means = np.mean(list(chosen.values()), axis=0)
                gains = [f"{means[3] - means[i]:+.1f}" for i in (0, 2)]
                pairs = f"{len(chosen)}, {label}"
                rows.append([shown, pairs, *(f"{value:.1f}" for value in means), *gains])
        single += [[name, shown, *(f"{value:.1f}" for value in row)] for name, row in close.items()]
    yield markdown(rows)
    yield markdown(single)


def matching_tables(results: Results) -> Iterator[str]:
    """Yield the table of precision and recall of matches against the hand-made list."""
    rows = [["by", "images per class", "matches", "precision", "with similar ones", "recall"]]
    found = select(results, "matching")
    for result in sorted(
        found, key=lambda r: (r.cell.arguments["mode"], r.cell.arguments["shots"])
    ):
        mode, shots = (result.cell.arguments[key] for key in ("mode", "shots"))
        kinds = [match[-1] for match in result.values["matches"]]
        same, similar = kinds.count("same"), kinds.count("similar")
        total = max(len(kinds), 1)
        precise = [f"{100 * hits / total:.1f} %" for hits in (same, same + similar)]
        recall = f"{100 * same / result.values['same_in_all']:.1f} %"
        rows.append([mode, SHOWN_SHOTS[shots], str(len(kinds)), *precise, recall])
    yield markdown(rows)


def tables_after(results: Results, part: str) -> Iterator[str]:
    """Yield tables of accuracies and gains for tasks that are learned after several others.

    Args:
        results: all results.
        part: name of the study, `related` or `bank`.
    """
    sharing = {one.split(":")[0] for (one, _), kind in read_pairs().items() if kind == "same"}
    for shots, shown in SHOWN_SHOTS.items():
        found = by_task(select(results, part, shots=shots))
        if not found:
            continue
        alone = by_task(select(results, "alone", shots=shots))
        rows = [[f"new task, {shown} shots", *WAYS, "over random start", "from reuse"]]
        gains = {name: moments_gain(values) for name, values in found.items()}
        ways = {name: four_ways(values, alone.get(name)) for name, values in found.items()}
        for name, gain in gains.items():
            rows.append([name, *_row(ways[name]), str(gain)])
        losing = sum(gain.is_loss for gain in gains.values())
        for label, names in (
            (f"mean; {losing} lose", set(found)),
            ("mean of those that share classes", set(found) & sharing),
        ):
            known = [row for name in names if (row := ways[name]) is not None]
            total = np.mean(known, axis=0).tolist() if len(known) == len(names) > 0 else None
            mean = f"{np.mean([gains[name].mean for name in names]):+.1f}" if names else ""
            rows.append([f"{label} ({len(names)})", *_row(total), mean])
        yield markdown(rows)
        yield f"{max(gain.n for gain in gains.values())} seeds.\n"


def four_ways(values: Values, alone: Values | None) -> list[float] | None:
    """Return accuracies in per cent, in the order of `WAYS`; None if answers are missing.

    Args:
        values: result of the study `few`, `related` or `bank`.
        alone: result of the study `alone` for the new task; None if it was not measured.
    """
    if alone is None or not all(values["right"]):
        return None
    bank, ours = np.mean([np.mean(r, axis=1) for r in values["right"]], axis=0)
    seeds = len(values["right"])
    without = (np.mean(alone[key][:seeds]) for key in ("head", "moments"))
    return [100 * float(value) for value in (*without, bank, ours)]


def _row(ways: Sequence[float] | None) -> list[str]:
    """Return table cells: the four accuracies, and the gain of reuse over a random start."""
    if ways is None:
        return [""] * 5
    return [*(f"{value:.1f}" for value in ways), f"{ways[3] - ways[0]:+.1f}"]
