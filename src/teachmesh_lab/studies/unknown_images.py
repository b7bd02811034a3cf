"""Studies of images of tasks that nobody learned, and of probabilities of small tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.held_out_from_rows import held_out_scores
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.typicality import FALSE_ALARMS
from teachmesh.model.embedding import LabelledLatents
from teachmesh_lab.studies.reuse_tasks import ReusePlan
from teachmesh_lab.studies.study_cells import (
    Study,
    StudyCell,
    StudyResult,
    Values,
    markdown,
    select,
)

KNOWN = (2, 4, 10)
"""Numbers of known tasks; in addition, ten tasks are hidden in turn."""
HIDDEN = 10
DRAWS = {2: 40, 4: 40, 10: 20}
"""Number of draws of known tasks, by their number."""
UNKNOWN_SHOTS = (10, 20, 0)
"""Numbers of training images per class; 0 for all."""
CALIBRATION_SHOTS = (8, 16, 32, 64, 0)
BINS = 15


@dataclass(frozen=True, eq=False)
class LearnedTasks:
    """Tasks that were learned from few images, and test images of all of them.

    Attributes:
        mapper: mapper with all tasks; keys sort as the tasks do.
        tests: test images of each task.
    """

    mapper: MomentsMapper
    tests: Sequence[LabelledLatents]

    @classmethod
    def fit(
        cls,
        train: Sequence[LabelledLatents],
        tests: Sequence[LabelledLatents],
        metric: Metric,
    ) -> LearnedTasks:
        """Fit moments and held-out scores of every task.

        Args:
            train: training images of each task.
            tests: test images of each task.
            metric: metric of the backbone's latents.
        """
        mapper = MomentsMapper(metric)
        for number, part in enumerate(train):
            n_classes = int(part.labels.max()) + 1
            images = part.latents.multi, part.labels, n_classes, metric
            mapper.add(f"{number:04}", fit_moments(*images), held_out_scores(*images))
        return cls(mapper, tests)

    @property
    def latents(self) -> np.ndarray:
        """(N, D) latents of all test images."""
        return np.concatenate([part.latents.multi for part in self.tests])

    @property
    def task_of_image(self) -> np.ndarray:
        """(N,) task of each test image."""
        return np.repeat(np.arange(len(self.tests)), [len(part) for part in self.tests])


def area_under_curve(known: np.ndarray, unknown: np.ndarray) -> float:
    """Return the probability that a known image has a higher score than an unknown one.

    >>> area_under_curve(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    order = np.sort(unknown)
    below = np.searchsorted(order, known, side="left")
    not_above = np.searchsorted(order, known, side="right")
    return float((below + not_above).mean() / 2 / len(unknown))


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """Return the expected calibration error in 15 bins of equal width.

    Args:
        confidence: (N,) probabilities of the predicted classes.
        right: (N,) whether each prediction is right.
        weights: (N,) weights of the images.

    >>> calibration_error(np.array([0.5, 0.5]), np.array([True, False]), np.ones(2))
    0.0
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights * (right - confidence), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def measure_unknown(tasks: LearnedTasks, false_alarms: float = FALSE_ALARMS) -> Values:
    """Measure how well images of hidden tasks are told from those of known tasks.

    Args:
        tasks: learned tasks.
        false_alarms: promised fraction of known images that are called unknown.

    Returns:
        Means by number of known tasks, under "known": area under the curve, false alarms, and
        fraction of unknown images that are called so.
    """
    latents, mapper = tasks.latents, tasks.mapper
    evidence = mapper.score(latents).task  # (N, T); a column does not depend on other tasks
    keys = mapper.keys()
    familiarity = np.stack([mapper.familiarity(key, latents) for key in keys], axis=1)
    held_out = [mapper.held_out(key) for key in keys]
    thresholds = np.array(
        [None if held is None else held.threshold(false_alarms) for held in held_out], np.float64
    )  # NaN without a threshold, so that no image is unknown
    values: Values = {"known": {}}
    for count in (*KNOWN, len(tasks.tests) - HIDDEN):
        rows = []
        for known in _draws(len(tasks.tests), count):
            chosen = known[evidence[:, known].argmax(axis=1)]
            score = familiarity[np.arange(len(latents)), chosen]
            unknown = score < thresholds[chosen]
            is_known = np.isin(tasks.task_of_image, known)
            area = area_under_curve(score[is_known], score[~is_known])
            rows.append((area, unknown[is_known].mean(), unknown[~is_known].mean()))
        area, alarms, caught = np.mean(rows, axis=0)
        values["known"][str(count)] = {
            "auroc": float(area),
            "false_alarms": float(alarms),
            "caught": float(caught),
            "draws": len(rows),
        }
    return values


def _draws(n_tasks: int, count: int) -> list[np.ndarray]:
    """Draw known tasks; if all but ten are known, hide ten in turn, so that each is hidden."""
    random = np.random.default_rng(count)
    if n_tasks - count == HIDDEN:
        order = random.permutation(n_tasks)
        starts = range(0, n_tasks, HIDDEN)
        hidden = [np.take(order, range(s, s + HIDDEN), mode="wrap") for s in starts]
        return [np.setdiff1d(np.arange(n_tasks), part) for part in hidden]
    return [np.sort(random.permutation(n_tasks)[:count]) for _ in range(DRAWS[count])]


def measure_calibration(tasks: LearnedTasks) -> Values:
    """Measure calibration errors with the task given, and without it; every task counts alike."""
    mapper, task_of = tasks.mapper, tasks.task_of_image
    weights = 1 / np.bincount(task_of)[task_of]
    confidence, right = np.zeros((2, len(task_of))), np.zeros((2, len(task_of)), dtype=bool)
    for t, (key, part) in enumerate(zip(mapper.keys(), tasks.tests, strict=True)):
        rows = task_of == t
        latents = part.latents.multi
        posterior = np.exp(mapper.within(key, latents))
        confidence[0, rows] = posterior.max(axis=1)
        right[0, rows] = posterior.argmax(axis=1) == part.labels
        task = log_softmax(mapper.score(latents).task)
        for i, chosen in enumerate(task.argmax(axis=1)):
            found = mapper.within(mapper.keys()[chosen], latents[i : i + 1])[0]
            row = np.flatnonzero(rows)[i]
            confidence[1, row] = np.exp(task[i, chosen] + found.max())
            right[1, row] = chosen == t and found.argmax() == part.labels[i]
    given, answered = (
        calibration_error(c, r, weights) for c, r in zip(confidence, right, strict=True)
    )
    return {
        "given": given,
        "answered": answered,
        "accuracy_given": float((right[0] * weights).sum() / weights.sum()),
    }


def unknown(plan: ReusePlan) -> Study:
    """Return the study of images of hidden tasks."""

    def measure(cell: StudyCell) -> Values:
        return measure_unknown(_learned(plan, cell.arguments["shots"]))

    return Study([_cell(plan, "unknown", shots) for shots in UNKNOWN_SHOTS], measure)


def calibration(plan: ReusePlan) -> Study:
    """Return the study of probabilities after learning from few images."""

    def measure(cell: StudyCell) -> Values:
        return measure_calibration(_learned(plan, cell.arguments["shots"]))

    return Study([_cell(plan, "calibration", shots) for shots in CALIBRATION_SHOTS], measure)


def _cell(plan: ReusePlan, part: str, shots: int) -> StudyCell:
    return plan.inputs.cell(part, (str(shots),), tuple(plan.tasks), shots=shots)


def _learned(plan: ReusePlan, shots: int) -> LearnedTasks:
    tasks = list(plan.tasks.values())
    train = [task.shots(shots, 0) for task in tasks]
    return LearnedTasks.fit(train, [task.test for task in tasks], tasks[0].metric)


def unknown_tables(results: Sequence[StudyResult]) -> Iterator[str]:
    """Yield a table with one row per number of images and of known tasks."""
    rows = [["images per class", "known tasks", "AUROC", "false alarms at 5 %", "caught at 5 %"]]
    for result in select(results, "unknown"):
        shots = result.cell.arguments["shots"] or "all"
        for known, found in result.values["known"].items():
            rates = [f"{100 * found[key]:.1f} %" for key in ("false_alarms", "caught")]
            rows.append([str(shots), known, f"{found['auroc']:.3f}", *rates])
    yield markdown(rows)


def calibration_table(results: Sequence[StudyResult]) -> Iterator[str]:
    """Yield a table with one row per number of images."""
    rows = [["images per class", "ECE, task given", "ECE of answers", "accuracy, task given"]]
    for result in select(results, "calibration"):
        shots, found = result.cell.arguments["shots"] or "all", result.values
        errors = [f"{found[key]:.3f}" for key in ("given", "answered")]
        rows.append([str(shots), *errors, f"{100 * found['accuracy_given']:.1f} %"])
    yield markdown(rows)
