"""Tables of trained heads: Table 1 with its epochs, and Fig. 13."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from teachmesh.reuse.transfer import START_GAIN
from teachmesh_lab.studies.reuse_cells import FOLDERS, Gain, cells, lowest, table
from teachmesh_lab.studies.reuse_data import HALF, Cell

WORST = 5
LIMITS = (-np.inf, 0.0, START_GAIN, 1.0, 1.5, 2.0)
STARTS = {
    "random": "random",
    "closed form": "closed form of the images alone",
    "as they are": "rows as they are",
    "p = 2, afterwards": "p = 2, divided afterwards",
    "p = inf, afterwards": "p = infinity, divided afterwards",
    "p = 2": "p = 2, the paper's",
    "p = 2, kept up": "p = 2, the paper's, kept up",
    "p = inf": "p = infinity, the paper's",
    "p = inf, kept up": "p = infinity, the paper's, kept up",
    "leaning": "closed form leaning on old rows (ours)",
}
"""Keys of a union's cell and what the starts are called."""
SHOWN_EPOCHS = (0, 1, 2, 3, 5, 10, 20, 30)


def taken(cell: Cell, limit: float = START_GAIN) -> np.ndarray:
    """(matched seeds,) bool: the trial takes the old rows where it asks for such a gain."""
    pairs = zip(cell["gain"], cell["beats_closed"], strict=True)
    return np.array([gain > limit and beats for gain, beats in pairs], dtype=bool)


def head_gains(cell: Cell, split: str, limit: float = START_GAIN) -> np.ndarray:
    """(seeds,) what old rows win over a random start; nothing where they are not taken."""
    gains = np.zeros(len(cell["random"]))
    for seed, ours, is_taken in zip(
        cell["matched"], cell["old rows"], taken(cell, limit), strict=True
    ):
        if is_taken:
            gains[seed] = ours[split] - cell["random"][seed][split]
    return gains


def three_ways(cell: Cell) -> tuple[float, float, float]:
    """Mean accuracy on test images over seeds: random start, closed form, and as `learn` does."""
    random, closed = (
        float(np.mean([head["test"] for head in cell[key]])) for key in ("random", "closed form")
    )
    return random, closed, random + float(np.mean(head_gains(cell, "test")))


def heads(root: Path) -> Iterator[str]:
    """All ordered pairs by shots: how many lean on old rows, what it gains, which lose."""
    head = ["shots", "pairs", "seeds", "old rows taken", "any class shared", "half or more shared"]
    rows = [[*head, "beyond the interval"]]
    worst = [["shots", "new task, old task", "gain"]]
    for name, found in _by_shots(root):
        gains = {pair: Gain.of(list(head_gains(cell, "test"))) for pair, cell in found.items()}
        some = sum(taken(cell).any() for cell in found.values())
        seeds = str(max(len(cell["random"]) for cell in found.values()))
        means = [_mean_gain(found, gains, least) for least in (np.finfo(float).tiny, HALF)]
        losing = sum(gain.is_loss for gain in gains.values())
        rows.append([name, str(len(found)), seeds, str(some), *means, str(losing)])
        worst += lowest(name, gains, WORST)
    yield table(rows)
    yield table(worst)


def _mean_gain(found: Mapping[str, Cell], gains: Mapping[str, Gain], least: float) -> str:
    chosen = [gains[pair].mean for pair, cell in found.items() if cell["shared"] >= least]
    return f"{np.mean(chosen):+.1f} ({len(chosen)} pairs)" if chosen else "none"


def head_pairs(root: Path) -> Iterator[str]:
    """Random start -> ours for each pair that shares enough; the choice of the trial's limit."""
    shown: dict[str, dict[str, str]] = {}
    means = [["shots", "random start", "closed form, no old rows", "ours"]]
    head = ["shots", "trial above", "taken", "gain on validation", "gain on test", "losing pairs"]
    choice = [head]
    for name, found in _by_shots(root):
        chosen = {pair: cell for pair, cell in found.items() if cell["shared"] >= HALF}
        ways = {pair: three_ways(cell) for pair, cell in chosen.items()}
        for pair, (random, _, ours) in ways.items():
            shown.setdefault(pair.replace("--", ", "), {})[name] = _arrow(random, ours)
        if chosen:
            mean = np.mean(list(ways.values()), axis=0)
            means.append([name, *(f"{100 * value:.1f}" for value in mean)])
            choice += [_choice(name, chosen, limit) for limit in LIMITS]
    names = [row[0] for row in means[1:]]
    rows = [[pair, *(got.get(name, "") for name in names)] for pair, got in shown.items()]
    yield table(means)
    yield table([["new task, old task", *names], *rows])
    yield table(choice)


def _arrow(before: float, after: float) -> str:
    return f"{100 * before:.1f} -> {100 * after:.1f}"


def _choice(shots: str, found: Mapping[str, Cell], limit: float) -> list[str]:
    share = sum(taken(c, limit).sum() for c in found.values())
    share /= sum(len(c["random"]) for c in found.values())
    on = {
        split: [Gain.of(list(head_gains(cell, split, limit))) for cell in found.values()]
        for split in ("validation", "test")
    }
    gains = [f"{np.mean([gain.mean for gain in on[split]]):+.2f}" for split in on]
    losing = " / ".join(str(sum(gain.is_loss for gain in on[split])) for split in on)
    shown = "no limit" if np.isinf(limit) else f"{limit:g}"
    return [shots, shown, f"{100 * share:.0f} %", *gains, losing]


def epochs(root: Path) -> Iterator[str]:
    """Epochs to best, on the mean curve over seeds and pairs that lean on old rows in any seed."""
    rows = [["shots", "pairs", "start", "best", "after epochs", "as good as random's best after"]]
    for name, found in _by_shots(root):
        chosen = [c for c in found.values() if c["shared"] >= HALF and taken(c).any()]
        if not chosen:
            continue
        curves = np.mean([_curves(cell) for cell in chosen], axis=0)
        starts = ("random", "closed form, no old rows", "ours")
        for start, curve in zip(starts, curves, strict=True):
            best = f"{100 * curve.max():.1f}", str(int(curve.argmax()))
            reached = first_as_good(curve, curves[0])
            rows.append([name, str(len(chosen)), start, *best, reached])
    yield table(rows)


def first_as_good(ours: np.ndarray, random: np.ndarray) -> str:
    """The first epoch at which one curve reaches the best of the other."""
    reached = np.flatnonzero(ours >= random.max())
    return str(reached[0]) if len(reached) else "never"


def _curves(cell: Cell) -> np.ndarray:
    """(3, epochs + 1) mean accuracy over seeds: random start, closed form, and as `learn` does."""
    random, closed = (
        np.array([head["curve"] for head in cell[key]]) for key in ("random", "closed form")
    )
    ours = random.copy()
    for seed, head, is_taken in zip(cell["matched"], cell["old rows"], taken(cell), strict=True):
        if is_taken:
            ours[seed] = head["curve"]
    return np.stack([curves.mean(axis=0) for curves in (random, closed, ours)])


def unions(root: Path) -> Iterator[str]:
    """Fig. 13: accuracy by epoch, the mean of all unions of two tasks."""
    found = cells(root / "union")
    if not found:
        return
    rows = [["start", *(f"epoch {epoch}" for epoch in SHOWN_EPOCHS), "best", "at epoch"]]
    for key, curve in union_curves(found).items():
        values = [f"{100 * curve[epoch]:.1f}" for epoch in SHOWN_EPOCHS]
        rows.append([STARTS[key], *values, f"{100 * curve.max():.1f}", str(int(curve.argmax()))])
    yield table(rows)
    moments = {
        key: [c["moments"][key] for c in found.values()] for key in ("zero images", "all images")
    }
    said = ", ".join(f"{key} {100 * np.mean(values):.1f}" for key, values in moments.items())
    yield f"{len(found)} unions. Class moments: {said}.\n"


def union_curves(found: Mapping[str, Cell]) -> dict[str, np.ndarray]:
    """Start -> (epochs + 1,) mean accuracy of all unions."""
    return {key: np.mean([cell[key] for cell in found.values()], axis=0) for key in STARTS}


def norms(root: Path) -> Iterator[str]:
    """What training under a norm costs the old task itself, and the lengths behind it."""
    found = cells(root / "norms").values()
    if not found:
        return
    rows = [["head", "right", "mean length of its rows"]]
    for key, name in (("plain", "plain"), ("p = 2", "p = 2"), ("p = inf", "p = infinity")):
        right, length = (np.mean([c[what][key] for c in found]) for what in ("accuracy", "row"))
        rows.append([name, f"{100 * right:.1f}", f"{length:.2f}"])
    yield table(rows)
    latent = np.mean([cell["latent"] for cell in found])
    yield f"{len(found)} tasks. Mean length of the latents: {latent:.1f}.\n"


def combined(root: Path) -> Iterator[str]:
    """Fig. 13 at epoch 0 where old tasks know the classes in other styles."""
    rows = [["new task", "from", "p = 2", "p = infinity", "moments"]]
    for name, cell in cells(root / "combine").items():
        values = [f"{100 * cell[key]:.1f}" for key in ("p = 2", "p = inf", "moments")]
        rows.append([name, ", ".join(cell["from"]), *values])
    yield table(rows)


def _by_shots(root: Path) -> Iterator[tuple[str, dict[str, Cell]]]:
    for folder, name in FOLDERS.items():
        found = cells(root / "heads" / folder)
        if found:
            yield name, found
