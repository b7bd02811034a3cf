"""Command line of the studies: `python -m teachmesh_lab.studies PART ...`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from teachmesh.bank.home import resolve_home
from teachmesh.errors import TeachmeshError
from teachmesh.reuse.matching import MODES
from teachmesh_lab.evaluation.packing_text import read_packing
from teachmesh_lab.studies.bias_studies import TEN, BiasStudyPlan, bias_bank, bias_tasks
from teachmesh_lab.studies.bias_tables import bank_table, byte_table, task_tables, trial_table
from teachmesh_lab.studies.bias_trials import bias_bytes, bias_trials
from teachmesh_lab.studies.copied_skills import copies, copies_table
from teachmesh_lab.studies.mapper_matching import mapper_matching, mapper_matching_tables
from teachmesh_lab.studies.reuse_few_shots import alone, bank, few, related
from teachmesh_lab.studies.reuse_head_tables import (
    combined_table,
    copied_tables,
    epoch_table,
    head_tables,
    norm_table,
    pair_tables,
    union_tables,
)
from teachmesh_lab.studies.reuse_heads import copied_rows, heads
from teachmesh_lab.studies.reuse_matching import matching
from teachmesh_lab.studies.reuse_tables import (
    Results,
    few_tables,
    matching_tables,
    table_1,
    tables_after,
)
from teachmesh_lab.studies.reuse_tasks import SHOTS, ReusePlan, StudySettings, study_tasks
from teachmesh_lab.studies.reuse_unions import combine, norms, union
from teachmesh_lab.studies.similar_classes import similar, similar_tables
from teachmesh_lab.studies.study_cells import Study, StudyInputs, read_results, run_study
from teachmesh_lab.studies.task_orders import orders, orders_table
from teachmesh_lab.studies.unknown_images import (
    calibration,
    calibration_table,
    unknown,
    unknown_tables,
)

EPILOG = """\
parts of reuse:
  few            class moments after one old task, all ordered pairs
  alone          class moments and the paper's head without an old task
  related        class moments after all tasks that share classes
  bank           class moments after all other tasks
  heads          trained heads after one old task (Table 1), all ordered pairs
  copied-rows    Table 1 the paper's way: rows copied by name, related pairs
  similar        similar, not identical classes: EXP-1 and EXP-2 (Fig. 14)
  combine        tasks combined from other styles, zero images
  union          unions of two tasks (Fig. 13)
  norms          heads trained under a norm
  matching       matches against a hand-made list
  mapper-matching  ten images of a class through the task mapper (Sec. 8)
parts of strangers:
  unknown        images of tasks that nobody learned
  calibration    probabilities after learning from few images
  copies         skills that copy another task
parts of orders:
  orders         final accuracy of closed forms over orders of tasks
parts of biases:
  biases-tasks   each task in a bank of its own
  biases-bank    all tasks in one bank
  biases-trials  ways to spend the budget, on validation images
  biases-bytes   float32, float16 and int8, on validation images

A killed run continues with the missing cells. A cell is measured again when its arguments, tasks or
backbone change. The tables show the cells of the last backbone in a folder.

examples:
  python -m teachmesh_lab.studies few --tasks photos --home HOME --backbone embedded --out CELLS
  python -m teachmesh_lab.studies reuse --out CELLS --show --figures FIGURES
"""
REUSE: dict[str, Callable[[ReusePlan], Study]] = {
    "few": few,
    "alone": alone,
    "related": related,
    "bank": bank,
    "heads": heads,
    "copied-rows": copied_rows,
    "similar": similar,
    "combine": combine,
    "union": union,
    "norms": norms,
    "matching": matching,
    "mapper-matching": mapper_matching,
}
STRANGERS: dict[str, Callable[[ReusePlan], Study]] = {
    "unknown": unknown,
    "calibration": calibration,
    "copies": copies,
}
ORDERS = "orders"
BIASES: dict[str, Callable[[BiasStudyPlan], Study]] = {
    "biases-tasks": bias_tasks,
    "biases-bank": bias_bank,
    "biases-trials": bias_trials,
    "biases-bytes": bias_bytes,
}
GROUPS = {"reuse": tuple(REUSE), "strangers": tuple(STRANGERS), "biases": tuple(BIASES)}
TABLES: tuple[tuple[str, tuple[str, ...], Callable[[Results], Iterator[str]]], ...] = (
    ("Matching", ("matching",), matching_tables),
    ("Zero images", ("combine",), combined_table),
    ("Matching through the mapper (Sec. 8)", ("mapper-matching",), mapper_matching_tables),
    ("Table 1", ("few", "alone"), table_1),
    ("Table 1, copied rows", ("copied-rows",), copied_tables),
    ("Fig. 14: similar classes", ("similar",), similar_tables),
    ("Fig. 13: unions of two tasks", ("union",), union_tables),
    ("Heads trained under a norm", ("norms",), norm_table),
    ("Heads, ordered pairs", ("heads",), head_tables),
    ("Heads, pairs that share half or more", ("heads",), pair_tables),
    ("Heads, epochs", ("heads",), epoch_table),
    ("Moments, ordered pairs", ("few",), few_tables),
    (
        "Moments, after all tasks that share classes",
        ("related",),
        lambda results: tables_after(results, "related"),
    ),
    ("Moments, after all others", ("bank",), lambda results: tables_after(results, "bank")),
    ("Images of hidden tasks", ("unknown",), unknown_tables),
    ("Probabilities", ("calibration",), calibration_table),
    ("Copies", ("copies",), copies_table),
    ("Orders of tasks", ("orders",), orders_table),
    ("Biases, each task in a bank of its own", ("biases-tasks",), task_tables),
    ("Biases, all tasks in one bank", ("biases-bank",), bank_table),
    ("Biases, trials", ("biases-trials",), trial_table),
    ("Biases, encodings", ("biases-bytes",), byte_table),
)
"""Section title, studies that the section needs, and function that makes its tables."""
USED_BY = {
    "shots": ("few", "alone", "related", "bank", "heads", "copied-rows", "similar"),
    "seeds": (
        *("few", "alone", "related", "bank", "heads", "union"),
        *("copied-rows", "similar", "mapper-matching", "orders"),
    ),
    "reuse": ("few",),
    "pairs": ("similar",),
    "packing": ("few", "related", "bank", "matching"),
    "validate": ("few", "related", "bank"),
    "figures": ("heads", "combine", "union", "similar"),
    "choices": ("biases-tasks", "biases-bank"),
    "methods": ("biases-tasks", "biases-bank", "orders"),
    "train_images": tuple(BIASES),
    "validation_images": tuple(BIASES),
}
"""Studies that each option affects."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the missing cells of a study, or show its tables.

    Args:
        arguments: command-line arguments; the command line of this process by default.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    parts = GROUPS.get(options.part, (options.part,))
    for name, users in USED_BY.items():
        if getattr(options, name) is not None and not set(users) & set(parts):
            parser.error(f"--{name.replace('_', '-')} is an option of {', '.join(users)}")
    for name in ("packing", "validate"):  # cells of other parts would have the same names
        if getattr(options, name) is not None and not set(parts) <= set(USED_BY[name]):
            parser.error(f"--{name} needs one part: {', '.join(USED_BY[name])}")
    if not options.show and options.figures is None and options.tasks is None:
        parser.error("--tasks is missing: name a folder of tasks, or use --show")
    try:
        _run(options, parts)
    except TeachmeshError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _run(options: argparse.Namespace, parts: tuple[str, ...]) -> None:
    if options.show or options.figures is not None:
        _show(options, parts)
        return
    studies = {part: _study(options, part) for part in parts}  # refuses a wrong option at once
    for part, study in studies.items():
        started_s = time.perf_counter()
        run_study(options.out, study, _log)
        _log(f"{part}: {time.perf_counter() - started_s:.0f} s")


def _show(options: argparse.Namespace, parts: tuple[str, ...]) -> None:
    """Print the tables and draw the figures of the studies."""
    results = read_results(options.out)
    for title, needed, make in TABLES:
        if options.show and set(needed) & set(parts):
            print(f"## {title}\n", *make(results), sep="\n")
    if options.figures is not None:
        from teachmesh_lab.studies.reuse_figures import draw_figures

        draw_figures(results, options.figures)


def _study(options: argparse.Namespace, part: str) -> Study:
    """Make the study with the given name."""
    home = resolve_home(options.home)
    backbone = options.backbone or home.config.backbone
    if part in REUSE or part in STRANGERS or part == ORDERS:
        inputs = StudyInputs.find(options.tasks, home, backbone, _names(options.names, None))
        seeds = 20 if options.seeds is None else options.seeds
        shots = SHOTS if options.shots is None else tuple(options.shots)
        settings = StudySettings(read_packing(options.packing), bool(options.validate))
        tasks = study_tasks(inputs, home, backbone, settings)
        reuse = options.reuse or "auto"
        plan = ReusePlan(inputs, tasks, seeds, shots, reuse, options.pairs, settings)
        if part == ORDERS:
            return orders(plan, _listed(options.methods))
        return {**REUSE, **STRANGERS}[part](plan)
    inputs = StudyInputs.find(options.tasks, home, backbone, _names(options.names, TEN))
    bias_plan = BiasStudyPlan(
        inputs,
        home,
        backbone,
        options.out,
        _listed(options.choices),
        _listed(options.methods),
        options.train_images,
        options.validation_images,
    )
    return BIASES[part](bias_plan)


def _names(text: str | None, default: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the names of the tasks to use, or None to use all tasks."""
    return None if text == "all" else _listed(text) or default


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split(","))


def _log(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m teachmesh_lab.studies",
        description="Measure single mechanisms of teachmesh, cell by cell.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "part",
        choices=(*GROUPS, *REUSE, *STRANGERS, ORDERS, *BIASES),
        metavar="PART",
        help="see below; or a group",
    )
    add("--out", type=Path, required=True, help="folder of the cells")
    add("--tasks", type=Path, help="folder with one folder or archive per task")
    add("--names", help="comma-separated tasks, or `all`; default: all for reuse, ten for biases")
    add("--home", type=Path, help="agent's home with backbones and caches")
    add("--backbone", help="alias of the backbone; default the home's")
    add("--show", action="store_true", help="print the tables of the part, measure nothing")
    reuse = parser.add_argument_group("reuse").add_argument
    reuse("--shots", type=int, nargs="+", help="images per class, 0 for all; default 3 5 10 0")
    reuse("--seeds", type=int, help="draws of shots, random starts or random orders; default 20")
    reuse("--reuse", choices=MODES, help="how `few` matches classes; default auto")
    reuse("--pairs", type=Path, help="CSV of similar classes: experiment, new, old (TASK:CLASS)")
    reuse("--packing", help="bits of means, directions, bits of the head; default full (8 bits)")
    reuse("--validate", action="store_true", default=None, help="answer validation images")
    reuse("--figures", type=Path, help="folder to draw Fig. 13 and 14 in; measure nothing")
    biases = parser.add_argument_group("biases").add_argument
    biases(
        "--choices",
        help="comma-separated choices of `--bb`: none,auto,last:10; for one bank: default,all",
    )
    biases(
        "--methods", help="comma-separated methods: moments,maha+bb; for orders: moments,slda-multi"
    )
    biases("--train-images", type=int, help="approximate number per task, the same for each class")
    biases("--validation-images", type=int, help="the same for validation images")
    return parser


if __name__ == "__main__":
    main()
