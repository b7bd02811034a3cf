"""Sections of a run's report: tables, figures and the text that explains them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from teachmesh_lab.bench.bench_methods import Kind
from teachmesh_lab.bench.run_folder import Run
from teachmesh_lab.evaluation.class_level import class_accuracies, class_confusions
from teachmesh_lab.evaluation.class_level_page import SHOWN, class_table, confusion_table
from teachmesh_lab.evaluation.html_page import mistake_pictures
from teachmesh_lab.evaluation.metrics import t_quantile
from teachmesh_lab.figures.class_figures import answers_of, calibration_drawing, mistakes_of
from teachmesh_lab.figures.comparison_tables import (
    DIFFERENCES,
    compared_methods,
    difference_table,
    rank_table,
    rank_text,
)
from teachmesh_lab.figures.cost_figures import cost_drawings
from teachmesh_lab.figures.figure_scene import Scene
from teachmesh_lab.figures.figure_style import Drawing
from teachmesh_lab.figures.figure_tables import figure_2b, figure_9, figure_10, rows_table
from teachmesh_lab.figures.learning_curves import curve_drawings
from teachmesh_lab.figures.option_tables import OPTIONS_TEXT, option_tables
from teachmesh_lab.figures.table_files import Table
from teachmesh_lab.figures.task_figures import task_drawings

WORDS = (
    "mapper: right task. oracle: right class, given the task. final: right task and class; the "
    "mapper chooses the task, then its skill the class. direct: right task and class; the best of "
    "all classes of all tasks is chosen. All are unweighted means over tasks, on test images "
    "(docs/bench.md, Words)."
)
_RESULTS = (
    "The column 'accuracy of' names the kind of accuracy. ± seeds: standard deviation over the "
    "seeds of the row (divisor n - 1); 'same for all seeds' if no seed changes the accuracy. "
    "95 % (t): half width of the interval of Student's t for the mean over seeds{factors}. "
    "± images: standard error of the choice of test images, from a bootstrap within each task. "
    "Test images are those of one seed. {derived}"
)
_DERIVED = (
    "* derived from the cells of one agent and the counted costs; other rows of several agents "
    "were measured with real processes."
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
        shown: number of the table's rows on the page; the files have all rows.
        html: further content of the HTML page.
        prefix: start of the names of the table's files, different for each scene.
    """

    title: str
    text: str
    table: Table | None = None
    drawing: Drawing | None = None
    shown: int | None = None
    html: str = ""
    prefix: str = ""


def run_sections(run: Run, scenes: Sequence[Scene]) -> list[Section]:
    """Return the sections at the start of a report: missing cells, and a description of the run."""
    config = run.config
    found = []
    if run.summary["missing"]:
        found.append(_unfinished(run.summary["missing"]))
    if run.summary["failed"]:
        failed = [[item["cell"], item["message"]] for item in run.summary["failed"]]
        found.append(Section("Failed", "", (["cell", "why"], failed)))
    about = " ".join((config.about + "\n" + config.expected).split())
    rows = [_run_row(scene) for scene in scenes]
    header = ["tasks", "number", "classes", "training images", "test images", "order", "seeds",
              "backbone", "methods", "options"]  # fmt: skip
    text = f"{about} {WORDS}" if about else WORDS
    found.append(Section("What was run", text, (header, rows)))
    for place, table in option_tables(run.summary["details"]):
        found.append(Section(f"Values of options: {place}", OPTIONS_TEXT, table))
    return found


def _run_row(scene: Scene) -> list[str]:
    sizes = next(iter(scene.alone.values()))[0].values["tasks"]
    seeds = scene.seeds()
    return [
        scene.stream,
        str(len(sizes)),
        f"{sum(size['classes'] for size in sizes):,}",
        f"{sum(size['train'] for size in sizes):,}",
        f"{sum(size['test'] for size in sizes):,}",
        scene.order if len(scene.first_tasks()) == 1 else f"{scene.order}, one per seed",
        f"{len(seeds)} ({', '.join(map(str, seeds))})",
        scene.backbone,
        str(len(scene.alone)),
        ", ".join(scene.options) or "defaults",
    ]


def _unfinished(missing: Sequence[Mapping[str, str]]) -> Section:
    text = (
        f"This run is not finished: {len(missing)} cells have no result, and rows below have "
        "fewer seeds or are left out. Start the same command again to compute them."
    )
    return Section("Unfinished", text, (["missing cell"], [[item["label"]] for item in missing]))


def scene_sections(
    scene: Scene,
    prefix: str,
    details: Sequence[Mapping[str, Any]],
    alpha: float,
    *,
    brief: bool = False,
) -> list[Section]:
    """Return the tables and figures of one scene.

    Args:
        scene: results of one stream and backbone.
        prefix: start of the names of all files.
        details: all rows of the run's details.
        alpha: multiply-accumulates per byte.
        brief: whether to return only the results, because an earlier scene differs only in options.
    """
    # One table per scene: costs are not comparable between different tasks or backbones.
    rows = scene.rows(details)
    found = [
        Section(scene.title, ""),
        Section("Results", results_text(rows), rows_table(rows)),
    ]
    if brief:
        return [_named(section, prefix) for section in found]
    found += [
        *_comparisons(scene),
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
        found.append(
            Section(f"Fig. 10: {agents} agents", text, figure_10(rows, agents, alone, alpha))
        )
    drawings = [*task_drawings(scene), *curve_drawings(scene), *cost_drawings(scene, alpha)]
    drawings.sort(key=lambda drawing: not drawing.name.startswith("fig"))
    found += [Section(d.title, d.caption, None, d) for d in drawings]
    return [_named(section, prefix) for section in [*found, *_class_level(scene)]]


def _named(section: Section, prefix: str) -> Section:
    drawing = section.drawing
    if drawing is not None:
        drawing = Drawing(prefix + drawing.name, drawing.title, drawing.caption, drawing.draw)
    return dataclasses.replace(section, drawing=drawing, prefix=prefix)


def results_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the caption of the results, with the factor of each number of seeds."""
    counts = sorted({len(row["seeds"]) for row in rows if len(row["seeds"]) > 1})
    factors = [
        f"{t_quantile(n - 1) / n**0.5:.2f} standard deviations for {n} seeds ({n - 1} degree"
        f"{'s' if n > 2 else ''} of freedom)"
        for n in counts
    ]
    derived = _DERIVED if any(row["derived"] for row in rows) else ""
    text = _RESULTS.format(factors=": " + ", ".join(factors) if factors else "", derived=derived)
    if 2 in counts:
        text += " Two seeds say little about the spread over seeds; run at least three."
    return text


def _comparisons(scene: Scene) -> list[Section]:
    found = []
    for measure, name in (("accuracy", "final or direct"), ("oracle", "oracle")):
        differences = difference_table(scene, measure)
        if differences is not None:
            found.append(Section(f"Paired differences, {name}", DIFFERENCES, differences))
        ranked = rank_table(scene, measure)
        if ranked is not None:
            table, ranks, n_tasks = ranked
            found.append(Section(f"Ranks over tasks, {name}", rank_text(ranks, n_tasks), table))
    return found


def _class_level(scene: Scene) -> list[Section]:
    """Return accuracy per class, confusions and mistakes of the best method, and calibration."""
    kept = {
        method: answers
        for method in compared_methods(scene, "accuracy")
        if (answers := answers_of(scene, method)) is not None
    }
    if not kept:
        return []
    best, answers = next(iter(kept.items()))
    found = [
        Section(
            f"Accuracy per class: {best}",
            "Right task and class, over all seeds, the least accurate classes first.",
            class_table(class_accuracies(answers)),
            shown=SHOWN,
        ),
        Section(
            f"Confused classes: {best}",
            "Test images of a class that were given another class, over all seeds.",
            confusion_table(class_confusions(answers)),
            shown=SHOWN,
        ),
    ]
    drawing = calibration_drawing(kept, scene)
    if drawing is not None:
        found.append(Section(drawing.title, drawing.caption, None, drawing))
    sure = next((method for method in kept if mistakes_of(scene, method)), None)
    if sure is not None:
        text = "Wrong answers with the highest probabilities, first seed."
        pictures = mistake_pictures(mistakes_of(scene, sure))
        found.append(Section(f"Surest mistakes: {sure}", text, html=pictures))
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


def agents_section(details: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Return a section about the agreement of real agents; empty if there were none."""
    checks = [check for row in details if not row["oracle"] for check in row["checks"]]
    return [Section("Real agents", _check_text(checks))] if checks else []


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
