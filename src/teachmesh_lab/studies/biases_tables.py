"""The tables of docs/results/biases_measured.md from the lines of `bench_biases`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Line = dict[str, Any]
CHOICES = ("none", "auto", "half", "last:10", "all")
"""Of layers, as columns."""


def tables(lines: Sequence[Line]) -> str:
    """Task by task for each method, what that cost, and all tasks in one bank."""
    alone = [line for line in lines if line["task"] != "whole"]
    parts = []
    for method in dict.fromkeys(line["method"] for line in alone):
        here = [line for line in alone if line["method"] == method]
        parts += [f"### {method}\n", _accuracies(here), "", _costs(here), ""]
    whole = [line for line in lines if line["task"] == "whole"]
    return "\n".join([*parts, "### All tasks in one bank\n", _variants(whole)])


def _by_choice(lines: Sequence[Line]) -> dict[str, dict[str, Line]]:
    """Choice -> task -> line."""
    found: dict[str, dict[str, Line]] = {}
    for choice in CHOICES:
        rows = {line["task"]: line for line in lines if line["bb"] == choice}
        if rows:
            found[choice] = rows
    return found


def _accuracies(lines: Sequence[Line]) -> str:
    """Oracle accuracy on test images; in brackets: share of the decision that biases were given."""
    columns = _by_choice(lines)
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    rows = [["task", "classes, test images", *columns]]
    for task in tasks:
        row = [task, _sizes(next(line for line in lines if line["task"] == task))]
        row += [_accuracy(column[task]) if task in column else "" for column in columns.values()]
        rows.append(row)
    rows.append(_means("mean", tasks, columns))
    shared = [task for task in tasks if all(task in column for column in columns.values())]
    if 0 < len(shared) < len(tasks):
        rows.append(_means(f"mean of {len(shared)}", shared, columns))
    return _markdown(rows)


def _means(name: str, tasks: Sequence[str], columns: dict[str, dict[str, Line]]) -> list[str]:
    """Of each column that has all tasks: one over fewer than its neighbours' would mislead."""
    whole = [all(task in column for task in tasks) for column in columns.values()]
    means = [
        f"{100 * _mean([_oracle(column[task]) for task in tasks]):.1f}" if has_all else ""
        for has_all, column in zip(whole, columns.values(), strict=True)
    ]
    return [name, "", *means]


def _costs(lines: Sequence[Line]) -> str:
    """Means over the tasks of what each choice cost."""
    head = ["choice", "tasks", "passes (most)", "bytes of a skill", "dropped"]
    rows = [[*head, "gain on validation", "gain on test", "worst task", "processor s"]]
    columns = _by_choice(lines)
    for choice, column in columns.items():
        passes = [line["document"]["cost"]["backbone_passes"] for line in column.values()]
        sizes = [_entry(line)["skill_bytes"] for line in column.values()]
        seconds = [line["cpu_s"] for line in column.values()]
        cards = [_entry(line)["biases"] for line in column.values() if "biases" in _entry(line)]
        gains = [
            100 * (_oracle(line) - _oracle(columns["none"][task]))
            for task, line in column.items()
            if task in columns.get("none", {})
        ]
        validation = [
            100 * (card["accuracy_with"] - card["accuracy_without"]) if card["weight"] else 0.0
            for card in cards
        ]
        rows.append(
            [
                choice,
                str(len(column)),
                f"{_mean(passes):.2f} ({max(passes):.1f})",
                f"{_mean(sizes):,.0f}",
                str(sum(not card["weight"] for card in cards)),
                f"{_mean(validation):+.1f}" if validation else "",
                f"{_mean(gains):+.1f}" if gains else "",
                f"{min(gains):+.1f}" if gains else "",
                f"{_mean(seconds):.0f}",
            ]
        )
    return _markdown(rows)


def _variants(lines: Sequence[Line]) -> str:
    """Mapper, oracle, final and direct, without knowing the task."""
    columns = ("mapper", "oracle", "final", "direct")
    rows = [["variant", *columns, "passes", "KB per skill"]]
    for line in lines:
        mean, cost = line["document"]["mean"], line["document"]["cost"]
        shares = ["-" if mean[key] is None else f"{100 * mean[key]:.1f}" for key in columns]
        name = line["method"] + ("" if line["bb"] == "default" else f", {line['bb']} layers")
        size = f"{mean['skill_bytes'] / 1000:.0f}"
        rows.append([name, *shares, f"{cost['backbone_passes']:.2f}", size])
    return _markdown(rows)


def _entry(line: Line) -> dict[str, Any]:
    entry: dict[str, Any] = line["document"]["tasks"][0]
    return entry


def _oracle(line: Line) -> float:
    return float(_entry(line)["oracle"])


def _accuracy(line: Line) -> str:
    card = _entry(line).get("biases")
    weight = "" if card is None else f" ({card['weight']:g})"
    return f"{100 * _oracle(line):.1f}{weight}"


def _sizes(line: Line) -> str:
    entry = _entry(line)
    return f"{entry['classes']}, {entry['test_images']}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
