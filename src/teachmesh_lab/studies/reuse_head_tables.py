"""Tables of trained heads: Table 1, accuracy by epoch, Fig. 13, and combined tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from teachmesh.reuse.transfer import START_GAIN
from teachmesh_lab.studies.reuse_tables import SHOWN_SHOTS, Gain, Results, by_task, lowest
from teachmesh_lab.studies.reuse_tasks import HALF
from teachmesh_lab.studies.study_cells import Values, markdown, select

WORST = 5
LIMITS = (-np.inf, 0.0, START_GAIN, 1.0, 1.5, 2.0)
STARTS = {
    "random": "random",
    "closed form": "closed form without old rows",
    "as they are": "plain rows",
    "p = 2, afterwards": "p = 2, divided afterwards",
    "p = inf, afterwards": "p = infinity, divided afterwards",
    "p = 2": "p = 2, the paper's",
    "p = 2, kept up": "p = 2, the paper's, kept",
    "p = inf": "p = infinity, the paper's",
    "p = inf, kept up": "p = infinity, the paper's, kept",
    "closed form with prior": "closed form with old rows (ours)",
}
"""Display name of each start that is measured for a union."""
HEAD_WAYS = ("random start", "closed form without old rows", "closed form with old rows (ours)")
"""Starts of trained heads. If our start fails its trial, the random start replaces it."""
SHOWN_EPOCHS = (0, 1, 2, 3, 5, 10, 20, 30)


def passing_draws(values: Values, limit: float = START_GAIN) -> np.ndarray:
    """Return one bool per matched seed: True if the old rows pass a trial with this limit."""
    pairs = zip(values["gain"], values["beats_closed"], strict=True)
    return np.array([gain > limit and beats for gain, beats in pairs], dtype=bool)


def head_gains(values: Values, split: str, limit: float = START_GAIN) -> np.ndarray:
    """Return each seed's accuracy gain of old rows over a random start; 0 if rows are unused."""
    gains = np.zeros(len(values["random"]))
    draws = zip(values["matched"], values["old rows"], passing_draws(values, limit), strict=True)
    for seed, ours, passes in draws:
        if passes:
            gains[seed] = ours[split] - values["random"][seed][split]
    return gains


def three_ways(values: Values) -> tuple[float, float, float]:
    """Return the mean test accuracies of a random start, a closed-form start, and `learn`."""
    random, closed = (
        float(np.mean([head["test"] for head in values[key]])) for key in ("random", "closed form")
    )
    return random, closed, random + float(np.mean(head_gains(values, "test")))


def head_tables(results: Results) -> Iterator[str]:
    """Yield tables of all ordered pairs, by number of shots, and a table of the worst pairs."""
    head = ["shots", "pairs", "seeds", "pairs that use old rows", "gain, any class shared"]
    rows = [[*head, "gain, half or more shared", "pairs that lose"]]
    worst = [["shots", "new task, old task", "gain"]]
    for name, found in _by_shots(results):
        gains = {pair: Gain.of(list(head_gains(cell, "test"))) for pair, cell in found.items()}
        some = sum(passing_draws(cell).any() for cell in found.values())
        seeds = str(max(len(cell["random"]) for cell in found.values()))
        means = [_mean_gain(found, gains, least) for least in (np.finfo(float).tiny, HALF)]
        losing = sum(gain.is_loss for gain in gains.values())
        rows.append([name, str(len(found)), seeds, str(some), *means, str(losing)])
        worst += lowest(name, gains, WORST)
    yield markdown(rows)
    yield markdown(worst)


def _mean_gain(found: Mapping[str, Values], gains: Mapping[str, Gain], least: float) -> str:
    chosen = [gains[pair].mean for pair, cell in found.items() if cell["shared"] >= least]
    return f"{np.mean(chosen):+.1f} ({len(chosen)} pairs)" if chosen else "none"


def pair_tables(results: Results) -> Iterator[str]:
    """Yield tables of accuracies and trial limits, for pairs that share half of the classes."""
    shown: dict[str, dict[str, str]] = {}
    means = [["shots", *HEAD_WAYS]]
    head = ["shots", "trial above", "old rows used", "gain on validation", "gain on test"]
    choice = [[*head, "pairs that lose (validation / test)"]]
    for name, found in _by_shots(results):
        chosen = {pair: cell for pair, cell in found.items() if cell["shared"] >= HALF}
        ways = {pair: three_ways(cell) for pair, cell in chosen.items()}
        for pair, (random, _, ours) in ways.items():
            shown.setdefault(pair, {})[name] = _arrow(random, ours)
        if chosen:
            mean = np.mean(list(ways.values()), axis=0)
            means.append([name, *(f"{100 * value:.1f}" for value in mean)])
            choice += [_choice(name, chosen, limit) for limit in LIMITS]
    names = [row[0] for row in means[1:]]
    rows = [[pair, *(got.get(name, "") for name in names)] for pair, got in shown.items()]
    yield markdown(means)
    yield markdown([["new task, old task", *names], *rows])
    yield markdown(choice)


def _arrow(before: float, after: float) -> str:
    return f"{100 * before:.1f} -> {100 * after:.1f}"


def _choice(shots: str, found: Mapping[str, Values], limit: float) -> list[str]:
    share = sum(passing_draws(c, limit).sum() for c in found.values())
    share /= sum(len(c["random"]) for c in found.values())
    on = {
        split: [Gain.of(list(head_gains(cell, split, limit))) for cell in found.values()]
        for split in ("validation", "test")
    }
    gains = [f"{np.mean([gain.mean for gain in on[split]]):+.2f}" for split in on]
    losing = " / ".join(str(sum(gain.is_loss for gain in on[split])) for split in on)
    shown = "no limit" if np.isinf(limit) else f"{limit:g}"
    return [shots, shown, f"{100 * share:.0f} %", *gains, losing]


def copied_tables(results: Results) -> Iterator[str]:
    """Yield Table 1 in the layout of the paper, with a row for plainly copied rows and for ours."""
    ways = {"random": "random", "copied": "old rows, copied (the paper)", "ours": "ours"}
    found = {
        name: cells
        for shots, name in SHOWN_SHOTS.items()
        if (cells := by_task(select(results, "copied-rows", shots=shots)))
    }
    rows = [["new task, old task", "start", *found]]
    pairs = sorted({pair for cells in found.values() for pair in cells})
    for pair in pairs:
        for key, way in ways.items():
            means = [_percent(cells.get(pair), key) for cells in found.values()]
            rows.append([pair, way, *means])
    for key, way in ways.items():
        means = [_percent_of_all(cells, key) for cells in found.values()]
        rows.append([f"mean of {len(pairs)} pairs", way, *means])
    yield markdown(rows)
    lost = [
        [ways[key], *(_gain_and_losses(cells, key) for cells in found.values())]
        for key in ("copied", "ours")
    ]
    yield markdown([["start", *(f"{name}: gain, pairs that lose" for name in found)], *lost])


def _percent(values: Values | None, key: str) -> str:
    return "" if values is None else f"{100 * np.mean(values[key]):.1f}"


def _percent_of_all(cells: Mapping[str, Values], key: str) -> str:
    return f"{100 * np.mean([np.mean(values[key]) for values in cells.values()]):.1f}"


def _gain_and_losses(cells: Mapping[str, Values], key: str) -> str:
    gains = [Gain.of(list(np.subtract(v[key], v["random"]))) for v in cells.values()]
    return f"{np.mean([g.mean for g in gains]):+.1f}, {sum(g.is_loss for g in gains)}"


def epoch_table(results: Results) -> Iterator[str]:
    """Yield the table of epochs needed for the best accuracy, for pairs that use old rows."""
    rows = [
        ["shots", "pairs", "start", "best", "after epochs", "reaches the random start's best after"]
    ]
    for name, found in _by_shots(results):
        close = [cell for cell in found.values() if cell["shared"] >= HALF]
        chosen = [cell for cell in close if passing_draws(cell).any()]
        if not chosen:
            continue
        curves = np.mean([_curves(cell) for cell in chosen], axis=0)
        for start, curve in zip(HEAD_WAYS, curves, strict=True):
            best = f"{100 * curve.max():.1f}", str(int(curve.argmax()))
            reached = first_as_good(curve, curves[0])
            rows.append([name, str(len(chosen)), start, *best, reached])
    yield markdown(rows)


def first_as_good(ours: np.ndarray, random: np.ndarray) -> str:
    """Return the first epoch at which `ours` reaches the maximum of `random`, or "never"."""
    reached = np.flatnonzero(ours >= random.max())
    return str(reached[0]) if len(reached) else "never"


def _curves(values: Values) -> np.ndarray:
    """Return (3, epochs + 1) mean accuracies for random start, closed-form start, and `learn`."""
    random, closed = (
        np.array([head["curve"] for head in values[key]]) for key in ("random", "closed form")
    )
    ours = random.copy()
    draws = zip(values["matched"], values["old rows"], passing_draws(values), strict=True)
    for seed, head, passes in draws:
        if passes:
            ours[seed] = head["curve"]
    return np.stack([curves.mean(axis=0) for curves in (random, closed, ours)])


def union_tables(results: Results) -> Iterator[str]:
    """Yield Fig. 13 as a table: mean accuracy on all unions of two tasks, by epoch."""
    found = [result.values for result in select(results, "union")]
    if not found:
        return
    rows = [["start", *(f"epoch {epoch}" for epoch in SHOWN_EPOCHS), "best", "at epoch"]]
    for key, curve in union_curves(found).items():
        values = [f"{100 * curve[epoch]:.1f}" for epoch in SHOWN_EPOCHS]
        rows.append([STARTS[key], *values, f"{100 * curve.max():.1f}", str(int(curve.argmax()))])
    yield markdown(rows)
    moments = {key: [c["moments"][key] for c in found] for key in ("zero images", "all images")}
    shown = ", ".join(f"{key} {100 * np.mean(values):.1f}" for key, values in moments.items())
    yield f"{len(found)} unions. Class moments: {shown}.\n"


def union_curves(found: Sequence[Values]) -> dict[str, np.ndarray]:
    """Return, for each start, the mean accuracy on all unions by epoch, from epoch 0."""
    return {key: np.mean([values[key] for values in found], axis=0) for key in STARTS}


def norm_table(results: Results) -> Iterator[str]:
    """Yield the table of heads trained with normalised rows: accuracies and row lengths."""
    found = [result.values for result in select(results, "norms")]
    if not found:
        return
    rows = [["head", "right", "mean length of its rows"]]
    for key, name in (("plain", "plain"), ("p = 2", "p = 2"), ("p = inf", "p = infinity")):
        right, length = (np.mean([c[kind][key] for c in found]) for kind in ("accuracy", "row"))
        rows.append([name, f"{100 * right:.1f}", f"{length:.2f}"])
    yield markdown(rows)
    latent = np.mean([values["latent"] for values in found])
    yield f"{len(found)} tasks. Mean length of the latents: {latent:.1f}.\n"


def combined_table(results: Results) -> Iterator[str]:
    """Yield Fig. 13 at epoch 0 as a table, for tasks whose classes occur in other tasks."""
    rows = [["new task", "from", "p = 2", "p = infinity", "moments"]]
    for name, cell in by_task(select(results, "combine")).items():
        values = [f"{100 * cell[key]:.1f}" for key in ("p = 2", "p = inf", "moments")]
        rows.append([name, ", ".join(cell["from"]), *values])
    yield markdown(rows)


def _by_shots(results: Results) -> Iterator[tuple[str, dict[str, Values]]]:
    for shots, name in SHOWN_SHOTS.items():
        found = by_task(select(results, "heads", shots=shots))
        if found:
            yield name, found
