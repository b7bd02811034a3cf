"""Tables of docs/results/biases_measured.md, including the tables of the trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from teachmesh_lab.studies.bias_studies import DEFAULT
from teachmesh_lab.studies.bias_trials import NO_BIASES, TRIALS
from teachmesh_lab.studies.study_cells import StudyResult, Values, markdown, select

Results = Sequence[StudyResult]
CHOICES = ("none", "auto", "half", "last:10", "all")
"""Choices of layers, in the order of the columns."""


def task_tables(results: Results) -> Iterator[str]:
    """Yield two tables for each method: one of accuracy by task, one of mean costs."""
    found = select(results, "biases-tasks")
    for method, size in dict.fromkeys(map(_method_and_size, found)):
        chosen = [result for result in found if _method_and_size(result) == (method, size)]
        yield f"### {method}{_size_title(size)}\n"
        yield _accuracies(chosen)
        yield _costs(chosen)


def bank_table(results: Results) -> Iterator[str]:
    """Yield the table of results with all tasks in one bank, without a task oracle."""
    columns = ("mapper", "oracle", "final", "direct")
    rows = [["variant", *columns, "passes", "KB per skill"]]
    for result in select(results, "biases-bank"):
        method, bb, size = (result.cell.arguments[key] for key in ("method", "bb", "size"))
        mean, cost = (result.values["document"][key] for key in ("mean", "cost"))
        shares = ["-" if mean[key] is None else f"{100 * mean[key]:.1f}" for key in columns]
        name = method + ("" if bb == DEFAULT else f", {bb} layers") + _size_title(size)
        kilobytes = f"{mean['skill_bytes'] / 1000:.0f}"
        rows.append([name, *shares, f"{cost['backbone_passes']:.2f}", kilobytes])
    yield markdown(rows)


def trial_table(results: Results) -> Iterator[str]:
    """Yield the table of validation log loss and accuracy, by task and trial."""
    names = [NO_BIASES, *(trial.name for trial in TRIALS)]
    shown: dict[str, dict[str, str]] = {}
    for result in select(results, "biases-trials"):
        values = f"{result.values['log_loss']:.3f}, {100 * result.values['accuracy']:.0f} %"
        shown.setdefault(_title(result), {})[result.cell.arguments["trial"]["name"]] = values
    body = [[task, *(found.get(name, "") for name in names)] for task, found in shown.items()]
    yield markdown([["task", *names], *body])


def byte_table(results: Results) -> Iterator[str]:
    """Yield the table of log loss and changed answers, by task and encoding."""
    rows = [["task", "encoding", "bytes", "log loss", "right, %", "changed, %"]]
    for result in select(results, "biases-bytes"):
        for found in result.values["encodings"]:
            shares = (f"{100 * found[key]:.1f}" for key in ("accuracy", "changed"))
            numbers = f"{found['size_bytes']:,}", f"{found['log_loss']:.4f}"
            rows.append([_title(result), found["kind"], *numbers, *shares])
        if not result.values["encodings"]:
            rows.append([_title(result), "no biases were trained", "", "", "", ""])
    yield markdown(rows)


def _method_and_size(result: StudyResult) -> tuple[str, str]:
    return result.cell.arguments["method"], result.cell.arguments["size"]


def _title(result: StudyResult) -> str:
    """Return the name of a cell's only task, with the size if the task was reduced."""
    return f"{result.cell.arguments['tasks'][0]}{_size_title(result.cell.arguments['size'])}"


def _size_title(size: str) -> str:
    if not size:
        return ""
    train, validation = size.split("-")
    return f" ({train} training, {validation} validation images)"


def _by_choice(results: Results) -> dict[str, dict[str, StudyResult]]:
    """Return the results by choice of layers and by task."""
    found: dict[str, dict[str, StudyResult]] = {}
    for choice in CHOICES:
        rows = {
            result.cell.arguments["tasks"][0]: result
            for result in results
            if result.cell.arguments["bb"] == choice
        }
        if rows:
            found[choice] = rows
    return found


def _accuracies(results: Results) -> str:
    """Return a table of oracle test accuracies, with the weight of the biases in parentheses."""
    columns = _by_choice(results)
    by_task = {result.cell.arguments["tasks"][0]: result for result in results}
    rows = [["task", "classes, test images", *columns]]
    for task, any_result in by_task.items():
        row = [task, _sizes(any_result)]
        row += [_accuracy(column[task]) if task in column else "" for column in columns.values()]
        rows.append(row)
    rows.append(_means("mean", list(by_task), columns))
    shared = [task for task in by_task if all(task in column for column in columns.values())]
    if 0 < len(shared) < len(by_task):
        rows.append(_means(f"mean of {len(shared)}", shared, columns))
    return markdown(rows)


def _means(
    name: str, tasks: Sequence[str], columns: Mapping[str, Mapping[str, StudyResult]]
) -> list[str]:
    """Return the mean of each column that has all tasks; fewer tasks would bias the mean."""
    return [name, "", *(_column_mean(tasks, column) for column in columns.values())]


def _column_mean(tasks: Sequence[str], column: Mapping[str, StudyResult]) -> str:
    if not all(task in column for task in tasks):
        return ""
    return f"{100 * _mean([_oracle(column[task]) for task in tasks]):.1f}"


def _costs(results: Results) -> str:
    """Return a table with the mean costs of each choice of layers."""
    head = ["choice", "tasks", "passes (most)", "bytes of a skill", "dropped"]
    rows = [[*head, "gain on validation", "gain on test", "worst task", "processor s"]]
    columns = _by_choice(results)
    for choice, column in columns.items():
        rows.append([choice, str(len(column)), *_cost(column, columns.get("none", {}))])
    return markdown(rows)


def _cost(column: Mapping[str, StudyResult], plain: Mapping[str, StudyResult]) -> list[str]:
    """Return the cost and the gains of one choice of layers.

    Args:
        column: results by task, measured with this choice.
        plain: results by task, measured without biases.
    """
    passes = [r.values["document"]["cost"]["backbone_passes"] for r in column.values()]
    cards = [_entry(r)["biases"] for r in column.values() if "biases" in _entry(r)]
    gains = [100 * (_oracle(r) - _oracle(plain[t])) for t, r in column.items() if t in plain]
    validation = [
        100 * (card["accuracy_with"] - card["accuracy_without"]) if card["weight"] else 0.0
        for card in cards
    ]
    return [
        f"{_mean(passes):.2f} ({max(passes):.1f})",
        f"{_mean([_entry(r)['skill_bytes'] for r in column.values()]):,.0f}",
        str(sum(not card["weight"] for card in cards)),
        f"{_mean(validation):+.1f}" if validation else "",
        f"{_mean(gains):+.1f}" if gains else "",
        f"{min(gains):+.1f}" if gains else "",
        f"{_mean([r.timing['cpu_s'] for r in column.values()]):.0f}",
    ]


def _entry(result: StudyResult) -> Values:
    entry: dict[str, Any] = result.values["document"]["tasks"][0]
    return entry


def _oracle(result: StudyResult) -> float:
    return float(_entry(result)["oracle"])


def _accuracy(result: StudyResult) -> str:
    card = _entry(result).get("biases")
    weight = "" if card is None else f" ({card['weight']:g})"
    return f"{100 * _oracle(result):.1f}{weight}"


def _sizes(result: StudyResult) -> str:
    entry = _entry(result)
    return f"{entry['classes']}, {entry['test_images']}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
