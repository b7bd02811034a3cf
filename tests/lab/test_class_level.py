"""Class level: counted by hand, joined by names, and packed without loss."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh_lab.evaluation.class_level import (
    SeedAnswers,
    class_accuracies,
    class_confusions,
    class_level,
    describe_mistakes,
    expected_calibration_error,
    join_classes,
    reliability,
)
from teachmesh_lab.evaluation.image_answers import ImageAnswers


def _answers(labels: list[int], tasks: list[int], classes: list[int]) -> ImageAnswers:
    label, answered = np.array(labels), np.array(classes)
    sure = np.linspace(0.5, 0.9, len(labels)).astype(np.float32)
    return ImageAnswers(label, label == answered, np.array(tasks), answered, sure)


PETS = _answers([0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 1, 0])
CARS = _answers([0, 0], [1, 1], [0, 0])
ONE = SeedAnswers(["pets", "cars"], [["cat", "dog"], ["van"]], [PETS, CARS])
# The same answers by an agent that learned the tasks in the other order.
PETS_LATER = _answers([0, 0, 1, 1], [1, 1, 1, 0], [0, 1, 1, 0])
CARS_FIRST = _answers([0, 0], [0, 0], [0, 0])
OTHER = SeedAnswers(["cars", "pets"], [["van"], ["cat", "dog"]], [CARS_FIRST, PETS_LATER])


def test_classes_are_joined_by_name_over_orders_of_the_tasks() -> None:
    """Two seeds with two orders have the shares of one, from twice the images."""
    alone, both = join_classes([ONE]), join_classes([ONE, OTHER])
    assert alone is not None
    assert both is not None
    rows = class_accuracies(both)
    assert [(row["class"], row["images"], row["right"]) for row in rows] == [
        ("cat", 4, 0.5), ("dog", 4, 0.5), ("van", 4, 1.0),
    ]  # fmt: skip
    assert [row["right"] for row in class_accuracies(alone)] == [row["right"] for row in rows]
    pairs = [
        (p["class"], p["answered_class"], p["images"], p["share"]) for p in class_confusions(both)
    ]
    assert pairs == [("cat", "dog", 2, 0.5), ("dog", "van", 2, 0.5)]


def test_calibration_counts_the_gap_of_each_bin() -> None:
    """Three answers at 95 % with one mistake, one right answer at 15 %."""
    bins = reliability(np.array([0.95, 0.95, 0.95, 0.15]), np.array([True, True, False, True]))
    assert [row["images"] for row in bins] == [1, 3]
    expected = (1 * abs(0.15 - 1) + 3 * abs(0.95 - 2 / 3)) / 4
    assert expected_calibration_error(bins) == pytest.approx(expected)
    assert reliability(np.array([1.0]), np.array([True]))[0]["to"] == 1.0


def test_mistakes_are_named_and_a_method_that_needs_the_task_has_no_classes() -> None:
    """The mistakes have the names of both classes."""
    (found,) = describe_mistakes(ONE, [{"task": 0, "row": 3, "picture": "x"}])
    assert (found["class"], found["answered_class"], found["answered_task"]) == (
        "dog",
        "van",
        "cars",
    )
    told = ImageAnswers(np.array([0]), np.array([True]))
    assert join_classes([SeedAnswers(["a"], [["x"]], [told])]) is None
    assert join_classes([]) is None
    assert class_level(ONE, [])["standard_error"] == pytest.approx(0.5 * np.sqrt(0.25 / 4))


def test_packed_answers_are_read_back() -> None:
    """Eleven images do not fill the last byte of the packed bits."""
    labels = np.arange(11) % 3
    own = _answers(labels.tolist(), [0] * 11, [0] * 11)
    for answers in (own, ImageAnswers(labels, labels == 1)):
        again = ImageAnswers.from_json(answers.to_json())
        for name, value in vars(answers).items():
            assert np.array_equal(getattr(again, name), value)
