"""Tables over values of options, errors in words, kinds of accuracies, and legends that fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from teachmesh_lab.baselines.closed_forms import CLOSED_FORMS
from teachmesh_lab.bench.cell import Cell, Inputs, Result
from teachmesh_lab.bench.grid_config import BenchConfig, Grid, load_config, preset_names
from teachmesh_lab.bench.summary import summarise
from teachmesh_lab.evaluation.page_origin import invocation
from teachmesh_lab.figures.comparison_tables import points
from teachmesh_lab.figures.figure_style import legend, plot
from teachmesh_lab.figures.option_tables import option_tables


def row(method: str, options: dict[str, Any], oracle: bool, accuracy: float) -> dict[str, Any]:
    """Return a row of details with two seeds."""
    return {
        "method": method, "agents": 1, "oracle": oracle, "options": options, "accuracy": accuracy,
        "accuracy_validation": None if oracle else 0.5, "accuracy_sd": 0.0, "seeds": [0, 1],
        "accuracy_images": 0.01, "mapper": 0.9, "measure": "oracle" if oracle else "final",
        "cells": [f"{method}{options}"], "stream": "mine", "tasks": 3, "backbone": "embedded",
    }  # fmt: skip


def test_every_value_of_an_option_is_a_row() -> None:
    """A method with one set of options has no row; each value stands next to its oracle."""
    given = [("gmmc", {"clusters": 1}), ("gmmc", {"ridge": 2}), ("maha", {"ridge": 2})]
    details = [
        row(method, options, oracle, number / 10 + oracle / 20)
        for number, (method, options) in enumerate(given, start=1)
        for oracle in (False, True)
    ]
    ((title, (header, rows)),) = option_tables(details)
    assert title == "mine, 3 tasks, backbone embedded"
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    assert columns["option"] == ("clusters", "ridge")
    assert columns["value"] == ("1", "2")
    assert columns["on test images"] == ("10.0 %", "20.0 %")
    assert columns["oracle, on test images"] == ("15.0 %", "25.0 %")
    assert columns["± seeds"] == ("same for all seeds",) * 2
    assert option_tables(details[4:]) == []


def test_a_small_error_is_not_shown_as_zero() -> None:
    """Half a tenth of a point is the limit of one decimal."""
    assert [points(v) for v in (0.0005, 0.00049, 0.0)] == ["± 0.1", "± < 0.05", "± 0"]


@pytest.mark.parametrize(("infer", "measure"), [(1.0, "final"), (0.0, "direct")])
def test_supsup_with_its_own_inference_answers_with_final(infer: float, measure: str) -> None:
    """It chooses a task first, then a class of this task."""
    grid = Grid(("supsup",))
    cell = Cell("supsup", grid.stream, 0, 1, "embedded", "", (), "d", "f", "")
    task = {"name": "a", "classes": 2, "train": 4, "validation": 2, "test": 2}
    values = {
        "accuracy": [[0.5]], "tasks": [task], "hyper": {"infer": infer}, "network": {
            "network": "small", "parameters": 1, "size_px": 32},
        "costs": [{"task": "a", "teacher_macs": 1, "skill_bytes": 1}], "parallel": "chain",
    }  # fmt: skip
    result = Result(cell, values, {"learn_s": [1.0]})
    document = summarise(BenchConfig("x", (grid,)), [Inputs("x", "f", {0: "d"})], [result])
    assert [found["measure"] for found in document["details"]] == [measure]


def test_presets_run_three_seeds_with_their_own_orders() -> None:
    """Every grid of every preset."""
    grids = [grid for name in preset_names() for grid in load_config(name).grids]
    assert {(grid.seeds, grid.stream.order) for grid in grids} == {((0, 1, 2), "shuffled")}


def test_grids_of_linear_closed_forms_reach_down_to_a_millionth() -> None:
    """On 36 real tasks, values between 1e-5 and 1e-3 are chosen, within their grids."""
    for name, key in (("slda", "shrinkage"), ("gh-lda", "shrinkage"), ("layup", "ridge")):
        values = CLOSED_FORMS[name].grid[key]
        assert (min(values), list(values)) == (1e-6, sorted(values))


def test_a_legend_of_many_names_stays_in_the_figure() -> None:
    """No name is cut at the edges, and the axes keep their height."""
    pytest.importorskip("matplotlib")
    figure, axes = plot(6, 4)
    for number in range(28):
        axes.plot([0, 1], [number, number], label=f"parallel-supsup-{number} (oracle)")
    legend(figure)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert axes.get_window_extent().height > 2 * figure.dpi


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("--tasks=/home/ada/pets", "--tasks=pets"),
        ("/home/ada/pets", "pets"),
        ("--tasks=skill-102:/data/S", "--tasks=skill-102:S"),
        ("--tasks=hf:user/name", "--tasks=hf:user/name"),
        ("tcp/127.0.0.1:7447", "tcp/127.0.0.1:7447"),
        ("moments,maha", "moments,maha"),
    ],
)
def test_a_command_is_shown_with_its_options_and_without_folders(word: str, shown: str) -> None:
    """Folders may hold names of people."""
    assert invocation(["bench", "run", word])["command"] == f"teachmesh bench run {shown}"
    assert np.all([not Path(part).is_absolute() for part in shown.split("=")])
