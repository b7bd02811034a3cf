"""Accuracy per class, confusions of classes, and calibration, from the answers to each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from teachmesh_lab.evaluation.image_answers import ImageAnswers
from teachmesh_lab.evaluation.sampling_error import image_error

Name = tuple[str, str]
"""Task and class."""
_ELSEWHERE: Name = ("another task", "-")
CONFUSED = 50
"""Number of confused pairs in an evaluation's document."""
BINS = 10
"""Number of equal bins of the probability in a reliability diagram."""


@dataclass(frozen=True, eq=False)
class ClassAnswers:
    """Answers to N images of all tasks; images of several seeds may be joined.

    Attributes:
        names: (task, class) of each number.
        true: (N,) number of each image's class.
        answered: (N,) number of the answered class.
        probability: (N,) probability of each answer; None if the method has none.
    """

    names: tuple[Name, ...]
    true: np.ndarray
    answered: np.ndarray
    probability: np.ndarray | None

    @property
    def right(self) -> np.ndarray:
        """(N,) bool, whether task and class are right."""
        return np.asarray(self.true == self.answered)


@dataclass(frozen=True, eq=False)
class SeedAnswers:
    """Answers of one seed to the test images of all its tasks.

    Attributes:
        tasks: names of the tasks in the order of learning.
        classes: class names of each task.
        answers: answers to the images of each task.
    """

    tasks: Sequence[str]
    classes: Sequence[Sequence[str]]
    answers: Sequence[ImageAnswers]


def join_classes(seeds: Sequence[SeedAnswers]) -> ClassAnswers | None:
    """Join the answers of several seeds by the names of tasks and classes.

    Returns:
        The joined answers; None if there are none, or if the method needs the task.
    """
    numbers: dict[Name, int] = {}
    true: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    answered, probability = list(true), [np.zeros(0, dtype=np.float32)]
    for seed in seeds:
        tables = [
            np.array([numbers.setdefault((task, name), len(numbers)) for name in classes])
            for task, classes in zip(seed.tasks, seed.classes, strict=True)
        ]
        other = numbers.setdefault(_ELSEWHERE, len(numbers))
        for task, own in enumerate(seed.answers):
            if own.tasks is None or own.classes is None:
                return None
            true.append(tables[task][own.labels])
            pairs = zip(own.tasks.tolist(), own.classes.tolist(), strict=True)
            answered.append(
                np.array([tables[t][c] if t < len(tables) else other for t, c in pairs])
            )
            if own.probability is not None:
                probability.append(own.probability)
    joined = np.concatenate(true)
    if not len(joined):
        return None
    sure = np.concatenate(probability)
    return ClassAnswers(
        tuple(numbers),
        joined,
        np.concatenate(answered),
        sure if len(sure) == len(joined) else None,
    )


def class_accuracies(found: ClassAnswers) -> list[dict[str, Any]]:
    """Return {"task", "class", "images", "right"} of each class, the least accurate first."""
    totals = np.bincount(found.true, minlength=len(found.names))
    hits = np.bincount(found.true, weights=found.right, minlength=len(found.names))
    rows = [
        {"task": task, "class": name, "images": int(n), "right": float(hit / n)}
        for (task, name), n, hit in zip(found.names, totals, hits, strict=True)
        if n
    ]
    return sorted(rows, key=lambda row: (row["right"], row["task"], row["class"]))


def class_confusions(found: ClassAnswers) -> list[dict[str, Any]]:
    """Return the pairs of classes that are confused, the most frequent first.

    Returns:
        {"task", "class", "answered_task", "answered_class", "images", "share"} of each pair, where
        `share` is the share of the true class's images.
    """
    wrong = ~found.right
    counts = Counter(zip(found.true[wrong].tolist(), found.answered[wrong].tolist(), strict=True))
    totals = np.bincount(found.true, minlength=len(found.names))
    return [
        {
            "task": found.names[one][0],
            "class": found.names[one][1],
            "answered_task": found.names[other][0],
            "answered_class": found.names[other][1],
            "images": count,
            "share": count / int(totals[one]),
        }
        for (one, other), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def reliability(probability: np.ndarray, right: np.ndarray) -> list[dict[str, Any]]:
    """Group answers by their probability, for a reliability diagram.

    Args:
        probability: (N,) probabilities from 0 to 1.
        right: (N,) bool, whether each answer is right.

    Returns:
        {"from", "to", "images", "probability", "right"} of each bin with images, with the means
        over its images.
    """
    places = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        {
            "from": place / BINS,
            "to": (place + 1) / BINS,
            "images": int(inside.sum()),
            "probability": float(probability[inside].mean()),
            "right": float(right[inside].mean()),
        }
        for place in range(BINS)
        if (inside := places == place).any()
    ]


def expected_calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """Return the mean gap between probability and accuracy, weighted by images (ECE).

    Args:
        bins: bins from `reliability`.

    Examples:
        >>> expected_calibration_error(reliability(np.array([0.75, 0.75]), np.array([True, False])))
        0.25
    """
    total = sum(row["images"] for row in bins)
    gaps = [row["images"] * abs(row["probability"] - row["right"]) for row in bins]
    return float(sum(gaps) / total)


def class_level(seed: SeedAnswers, mistakes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the class level of an evaluation as JSON values.

    Args:
        seed: answers to the test images.
        mistakes: mistakes from `image_answers.surest_mistakes`; may be empty.

    Returns:
        {"classes", "confused_classes" (at most `CONFUSED` pairs), "calibration": {"error", "bins"},
        "mistakes", "standard_error" (of the mean accuracy, over test images)}.
    """
    found = join_classes([seed])
    assert found is not None
    assert found.probability is not None
    bins = reliability(found.probability, found.right)
    return {
        "classes": class_accuracies(found),
        "confused_classes": class_confusions(found)[:CONFUSED],
        "calibration": {"error": expected_calibration_error(bins), "bins": bins},
        "mistakes": describe_mistakes(seed, mistakes),
        "standard_error": image_error([_right(seed)]),
    }


def _right(seed: SeedAnswers) -> dict[tuple[str, str], np.ndarray]:
    pairs = enumerate(zip(seed.tasks, seed.answers, strict=True))
    rights = {(task, ""): own.right("accuracy", place) for place, (task, own) in pairs}
    return {key: right for key, right in rights.items() if right is not None}


def describe_mistakes(
    seed: SeedAnswers, mistakes: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Name the classes of the mistakes that `image_answers.surest_mistakes` found.

    Returns:
        {"task", "class", "answered_task", "answered_class", "probability", "picture"} of each.
    """
    found = []
    for item in mistakes:
        own, row = seed.answers[item["task"]], item["row"]
        assert own.tasks is not None
        assert own.classes is not None
        assert own.probability is not None
        task = int(own.tasks[row])
        known = task < len(seed.tasks)
        found.append(
            {
                "task": seed.tasks[item["task"]],
                "class": seed.classes[item["task"]][int(own.labels[row])],
                "answered_task": seed.tasks[task] if known else _ELSEWHERE[0],
                "answered_class": seed.classes[task][int(own.classes[row])] if known else "-",
                "probability": float(own.probability[row]),
                "picture": item["picture"],
            }
        )
    return found
