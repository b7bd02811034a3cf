"""Seeds with other orders of the tasks are joined by the names of the tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from teachmesh_lab.bench.cell import Cell, Result
from teachmesh_lab.figures.comparison_tables import difference_table, plus_minus, rank_table
from teachmesh_lab.figures.figure_scene import Scene
from teachmesh_lab.figures.figure_tables import network_text
from teachmesh_lab.figures.learning_curves import curve_drawings, normalised_curves
from teachmesh_lab.figures.task_figures import difficulty, task_drawings, worst_confusion
from teachmesh_lab.streams.task_stream import StreamSpec

ACCURACY = {"easy": 0.9, "hard": 0.3, "middle": 0.6}
ORDERS = (("easy", "hard", "middle"), ("middle", "easy", "hard"))
LOST = ("hard", "middle")
"""Task whose images are all taken for those of another task."""


def _result(method: str, seed: int, better: float = 0.0) -> Result:
    """Return a cell whose accuracies depend on the names of its tasks only."""
    order = ORDERS[seed % len(ORDERS)]
    final = [ACCURACY[name] + better for name in order]
    rows = [final[: i + 1] for i in range(len(order))]
    confusion = np.zeros((3, 3), dtype=int)
    for i, name in enumerate(order):
        confusion[i, order.index(LOST[1] if name == LOST[0] else name)] = 10
    values: dict[str, Any] = {
        "tasks": [
            {"name": n, "classes": 2, "train": 9, "validation": 1, "test": 10} for n in order
        ],
        "confusion": confusion.tolist(),
        "parallel": "skills",
        **dict.fromkeys(("mapper", "accuracy", "final", "oracle"), rows),
    }
    cell = Cell(method, StreamSpec(), seed, 1, "embedded", "", (), "digest", "print", "")
    return Result(cell, values, {})


def _scene(**better: float) -> Scene:
    alone = {m: [_result(m, seed, b) for seed in (0, 1)] for m, b in better.items()}
    return Scene("x", "embedded", "shuffled", (), (0,), alone, {})


def test_accuracies_difficulties_and_confusions_keep_their_tasks() -> None:
    """The mean of two orders has the values of each task, not of each position."""
    scene = _scene(moments=0.0)
    assert scene.tasks() == list(ORDERS[0])
    last = scene.last("moments", "accuracy")
    assert last is not None
    assert last.tolist() == pytest.approx([ACCURACY[name] for name in scene.tasks()])
    found = difficulty(scene)
    assert found is not None
    assert found[0].tolist() == pytest.approx([1 - ACCURACY[name] for name in scene.tasks()])
    shares = scene.confusion("moments")
    assert shares.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    (text,) = [d.caption for d in task_drawings(scene) if d.name == "confusion-moments"]
    assert "hard is taken for middle: 100.0 %" in text


def test_curves_of_the_first_task_name_the_first_task_of_every_order() -> None:
    """Two orders begin with two tasks, so no single name may be shown."""
    pytest.importorskip("matplotlib")
    (drawing,) = [d for d in curve_drawings(_scene(moments=0.0)) if d.name.startswith("fig04a")]
    assert "easy, middle" in drawing.caption
    (axes,) = drawing.draw().axes
    assert axes.get_ylabel() == "right on the first task of each order, per cent"
    ratios = normalised_curves(_scene(moments=0.0), "moments")
    assert {name: len(curve) for name, curve in ratios.items()} == {
        "easy": 3, "hard": 2, "middle": 3,
    }  # fmt: skip
    assert all(np.allclose(curve, 100) for curve in ratios.values())


def test_bands_show_the_lowest_and_highest_seed() -> None:
    """With one seed there is no band, and the caption says so."""
    pytest.importorskip("matplotlib")
    (two,) = [d for d in curve_drawings(_scene(moments=0.0)) if d.name.startswith("fig06")]
    assert len(two.draw().axes[0].collections) == 1
    assert "Band: lowest to highest of 2 seeds" in two.caption
    scene = _scene(moments=0.0)
    scene.alone["moments"].pop()
    (one,) = [d for d in curve_drawings(scene) if d.name.startswith("fig06")]
    assert len(one.draw().axes[0].collections) == 0
    assert "One seed" in one.caption


def test_captions_do_not_name_a_confusion_that_never_happens() -> None:
    """A perfect mapper confuses no pair of tasks."""
    assert worst_confusion(np.eye(3), ["a", "b", "c"]) == "No image is given to another task."


def test_methods_are_ranked_and_old_cells_have_no_paired_differences() -> None:
    """The better method on all tasks has rank 1; cells without answers have no pairs."""
    scene = _scene(gmmc=0.0, moments=0.05)
    ranked = rank_table(scene, "accuracy")
    assert ranked is not None
    assert ranked[0][1] == [["moments", "1.00", "no"], ["gmmc", "2.00", "no"]]
    assert difference_table(scene, "accuracy") is None


def test_a_deviation_of_nothing_is_no_deviation_of_zero() -> None:
    """Equal values have no deviation, and a single seed has no deviation."""
    assert [plus_minus(v) for v in (None, 0.0, 0.012)] == ["n = 1", "same for all seeds", "± 1.2"]


def test_each_row_names_its_network() -> None:
    """The network that was trained is named, with its parameters and its input size."""
    row = {"network": "resnet18", "parameters": 11_200_000, "size_px": 64}
    assert network_text(row) == "resnet18, 11.20 M, 64 px"
