"""`bench report`: figures, `report.html` and `report.md` from the files of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachmesh.bank.atomic import write_file
from teachmesh_lab.bench.bench_methods import Kind
from teachmesh_lab.bench.run_folder import Run, read_run
from teachmesh_lab.evaluation import html_page as page
from teachmesh_lab.figures.cost_figures import cost_drawings
from teachmesh_lab.figures.figure_scene import Scene, scenes
from teachmesh_lab.figures.figure_style import Drawing, save
from teachmesh_lab.figures.figure_tables import (
    Table,
    figure_2b,
    figure_9,
    figure_10,
    rows_table,
)
from teachmesh_lab.figures.learning_curves import curve_drawings
from teachmesh_lab.figures.task_figures import task_drawings

_DERIVED = (
    "* derived from the cell of one agent and the counted costs; rows without a star were measured "
    "with real processes."
)
_FIGURE_9 = (
    "Fig. 9: cost and accuracy of one agent. Multiply-accumulates of learning are counted, and "
    "relative to the cheapest row. Choosing hyper-parameters (once) and one answer (with biases: "
    "two passes) have columns of their own."
)
_FIGURE_9_TRAINED = (
    " Methods that train the whole network are told the task, as in the paper, which prints 1x (no "
    "BB) to 263x (ER). The paper uses one network for all methods. Here these methods train "
    "{networks} instead of {backbone} on its own size, so the factors cannot be compared with the "
    "paper's."
)
_FIGURE_10 = (
    "Fig. 10: costs of N agents, given for the agent that finishes last. Speed-up and efficiency "
    "follow from these columns; in the paper they do not (docs/results/arithmetic.md). alpha = "
    "{alpha:g} MAC per byte. Methods that cannot be divided are a chain: agents learn in turn and "
    "hand over all weights and state."
)


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report.

    Attributes:
        title: heading.
        text: explanatory text.
        table: header and rows; None if there is no table.
        drawing: figure; None if there is no figure.
    """

    title: str
    text: str
    table: Table | None = None
    drawing: Drawing | None = None


def write_bench_report(run: Path, *, alpha: float | None = None) -> Path:
    """Draw all figures for which a run has results, and write both reports.

    Args:
        run: folder of the run.
        alpha: multiply-accumulates per byte in tables and figures; None for the run's value.
            The files with the results of the run are not changed.

    Returns:
        The path of `report.html`.

    Raises:
        StorageError: the folder does not contain a run, or cannot be written.
        UsageError: alpha is not a finite number of at least 0.
        MissingExtraError: matplotlib is not installed.
    """
    found = read_run(run, alpha=alpha)
    sections = _sections(found)
    for section in sections:
        if section.drawing is not None:
            save(section.drawing, run / "figures")
    write_file(run / "report.md", _markdown(found, sections).encode())
    return page.write_page(_html(found, sections), run / "report.html")


def _sections(run: Run) -> list[Section]:
    config, summary = run.config, run.summary
    found: list[Section] = []
    for number, scene in enumerate(scenes(run)):
        prefix = "" if number == 0 else f"grid{number + 1}-"
        found.append(Section(scene.title, "", None))
        # One table per scene: costs are not comparable between different tasks or backbones.
        found += _tables(scene, scene.rows(summary["details"]), summary["alpha"])
        found += _figures(scene, prefix, summary["alpha"])
    checks = [check for row in summary["details"] if not row["oracle"] for check in row["checks"]]
    if checks:
        found.append(Section("Real agents", _check_text(checks), None))
    if summary["failed"]:
        failed = [[item["cell"], item["message"]] for item in summary["failed"]]
        found.append(Section("Not computed", "", (["cell", "why"], failed)))
    about = " ".join((config.about + "\n" + config.expected).split())
    return [Section("What this is", about), *found] if about else found


def _tables(scene: Scene, rows: Sequence[Mapping[str, Any]], alpha: float) -> list[Section]:
    found = [
        Section("Results", _DERIVED, rows_table(rows)),
        Section(
            "Fig. 2b: this stream and others",
            "The paper's row counts all classes and images as published; it learns 5,033 of them.",
            figure_2b(scene),
        ),
        Section("Fig. 9: one agent", figure_9_text(scene), figure_9(rows)),
    ]
    alone = [result for results in scene.alone.values() for result in results]
    for agents in sorted({row["agents"] for row in rows if row["agents"] > 1}):
        text = _FIGURE_10.format(alpha=alpha)
        paid = figure_10(rows, agents, alone, alpha)
        found.append(Section(f"Fig. 10: {agents} agents", text, paid))
    return found


def figure_9_text(scene: Scene) -> str:
    """Return the caption of Fig. 9, including the networks that the baselines train."""
    networks: dict[str, None] = {}
    for method in scene.methods(Kind.TRAINED):
        for result in scene.alone[method]:
            found = result.values["network"]
            networks[f"the network '{found['network']}' on images of {found['size_px']} px"] = None
    if not networks:
        return _FIGURE_9
    trained = _FIGURE_9_TRAINED.format(networks=" or ".join(networks), backbone=scene.backbone)
    return _FIGURE_9 + trained


def _figures(scene: Scene, prefix: str, alpha: float) -> list[Section]:
    drawings = [*task_drawings(scene), *curve_drawings(scene), *cost_drawings(scene, alpha)]
    named = [Drawing(prefix + d.name, d.title, d.caption, d.draw) for d in drawings]
    named.sort(key=lambda drawing: not drawing.name.removeprefix(prefix).startswith("fig"))
    return [Section(d.title, d.caption, None, d) for d in named]


def _check_text(checks: Sequence[dict[str, Any]]) -> str:
    equal = sum(check["digests_equal"] for check in checks)
    differ = sum(sum(check["answers_differ"]) for check in checks)
    other = sum(check["answers_differ_from_one_agent"] for check in checks)
    images = sum(check["test_images"] for check in checks)
    return (
        f"In {equal} of {len(checks)} runs all agents, one that learned nothing itself among them, "
        f"ended with the same bank. Of {images} test images {differ} were answered differently by "
        f"two of them, and {other} differently from one agent that learned everything."
    )


def _markdown(run: Run, sections: Sequence[Section]) -> str:
    identity = run.summary["identity"][:16]
    lines = [f"# {run.config.name}", "", f"Identity of the results: `{identity}`."]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.drawing is not None:
            lines += [f"![{section.title}](figures/{section.drawing.name}.svg)", ""]
        if section.text:
            lines += [section.text, ""]
        if section.table is not None:
            header, rows = section.table
            lines += [_line(header), _line(["---"] * len(header)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _html(run: Run, sections: Sequence[Section]) -> str:
    parts = [
        f"<h1>{page.text(run.config.name)}</h1>",
        f"<p>Identity of the results: <code>{page.text(run.summary['identity'][:16])}</code>.</p>",
    ]
    for section in sections:
        parts.append(f"<h2>{page.text(section.title)}</h2>")
        if section.table is not None:
            parts.append(page.table(*section.table))
        if section.drawing is not None:
            parts.append(page.image(section.drawing.draw(), section.title))
        if section.text:
            parts.append(f"<p>{page.text(section.text)}</p>")
    return "".join(parts)
