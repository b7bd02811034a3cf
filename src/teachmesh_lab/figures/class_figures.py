"""Class level of a run: accuracy per class, confused classes, calibration, surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from teachmesh_lab.bench.cell import Result
from teachmesh_lab.evaluation.class_level import (
    ClassAnswers,
    SeedAnswers,
    describe_mistakes,
    expected_calibration_error,
    join_classes,
    reliability,
)
from teachmesh_lab.evaluation.class_level_page import draw_reliability
from teachmesh_lab.figures.figure_scene import Scene
from teachmesh_lab.figures.figure_style import Drawing


def answers_of(scene: Scene, method: str) -> ClassAnswers | None:
    """Return the answers of a method to all test images of all seeds; None if not kept."""
    seeds = [seed_answers(result) for result in scene.alone[method]]
    return join_classes([seed for seed in seeds if seed is not None])


def seed_answers(result: Result) -> SeedAnswers | None:
    """Return the answers of one cell with the names of its classes; None for older cells."""
    tests, answers = result.values.get("tests"), result.answers()
    if not tests or not answers:
        return None
    names = [str(task["name"]) for task in result.values["tasks"]]
    return SeedAnswers(names, [test["classes"] for test in tests], answers)


def mistakes_of(scene: Scene, method: str) -> list[dict[str, Any]]:
    """Return the surest mistakes of a method's first seed, with pictures."""
    result = scene.alone[method][0]
    seed = seed_answers(result)
    return [] if seed is None else describe_mistakes(seed, result.values.get("mistakes", []))


def calibration_drawing(answers: Mapping[str, ClassAnswers], scene: Scene) -> Drawing | None:
    """Draw the reliability diagram of all methods that give probabilities."""
    bins = {
        method: reliability(found.probability, found.right)
        for method, found in answers.items()
        if found.probability is not None
    }
    if not bins:
        return None
    looks = {method: scene.look(method) for method in bins}
    errors = ", ".join(
        f"{method} {expected_calibration_error(rows):.3f}" for method, rows in bins.items()
    )
    return Drawing(
        "calibration",
        "Calibration: reliability diagram",
        "Answers by their probability, in ten bins, over all test images and seeds; below: images "
        f"per bin. On the diagonal, probabilities are right. Expected calibration error: {errors}. "
        "Not in the paper.",
        lambda: draw_reliability(bins, looks),
    )
