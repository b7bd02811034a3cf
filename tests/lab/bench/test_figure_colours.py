"""Figures that can be read: distinct colours, no black in dark mode, ticks that do not overlap."""

from __future__ import annotations

import re

import pytest

from teachmesh_lab.bench.bench_methods import bench_methods
from teachmesh_lab.bench.report_sections import scene_sections
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.evaluation.html_page import image
from teachmesh_lab.figures.figure_scene import scenes
from teachmesh_lab.figures.figure_style import few_numbers, look, plain_numbers, plot
from tests.lab.bench.conftest import TinyRun


def _brightness(colour: str) -> float:
    """Return the relative luminance of a colour as defined for web pages."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_no_two_methods_of_a_figure_share_a_colour() -> None:
    """All methods together have distinct looks; 24 of them have distinct, visible colours."""
    every = list(bench_methods())
    looks = [look(method, every) for method in every]
    keys = ("color", "linestyle", "marker")
    assert len({tuple(one[key] for key in keys) for one in looks}) == len(every)
    some = every[:24]
    colours = {look(method, some)["color"] for method in some}
    assert len(colours) == len(some)
    for colour in colours:  # a contrast of at least 1.5 with white and of 2.5 with black
        assert 1.05 / (_brightness(colour) + 0.05) > 1.5
        assert (_brightness(colour) + 0.05) / 0.05 > 2.5


def test_nothing_is_black_on_a_dark_page(tiny: TinyRun) -> None:
    """Every text of every figure has a colour of its own or that of the page."""
    pytest.importorskip("matplotlib")
    run = read_run(tiny.folder)
    (scene,) = scenes(run)
    sections = scene_sections(scene, "", run.summary["details"], 1000.0)
    drawings = [section.drawing for section in sections if section.drawing is not None]
    assert {"fig02a-tasks", "calibration"} <= {drawing.name for drawing in drawings}
    for drawing in drawings:
        page = image(drawing.draw, drawing.title)
        texts = re.findall(r"<text[^>]*>", page)
        assert texts
        assert all("fill: " in text for text in texts), drawing.name
        assert "#000000" not in page, drawing.name
        assert "currentColor" in page


def test_logarithmic_axes_have_few_numbers() -> None:
    """Minor ticks are not labelled, in narrow and in wide ranges."""
    pytest.importorskip("matplotlib")
    for low, high in ((2, 3), (61, 88), (2, 196), (1, 1e6)):
        numbers = few_numbers(low, high)
        assert 3 <= len(numbers) <= 12
        assert all(low <= number <= high for number in numbers)
        figure, axes = plot()
        axes.plot([low, high], [0, 1])
        axes.set_xscale("log")
        plain_numbers(axes)
        figure.canvas.draw()
        assert not [t for t in axes.get_xticklabels(minor=True) if t.get_text()]
