"""Class matching in studies: between two tasks as in `learn`, and between all tasks."""

from __future__ import annotations

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.reuse.class_names import read_labels
from teachmesh.reuse.matching import SourceTask, find_pairs, match_classes
from teachmesh.reuse.source_skills import mean_covariance
from teachmesh.reuse.text_encoders import NameComparer, choose_encoder
from teachmesh.reuse.visual_similarity import compare, whitening
from teachmesh_lab.studies.reuse_tasks import ReusePlan, StudyTask, Tasks, pairs_digest, read_pairs
from teachmesh_lab.studies.study_cells import Study, StudyCell, Values

MATCHING_SHOTS = (5, 0)
MATCHING_MODES = ("text", "text-names", "vision", "auto")
"""Modes of `learn --reuse`; `text-names` compares names without a text encoder."""


class PairMatcher:
    """Matches a new task with old tasks, and caches intermediate results.

    Args:
        tasks: tasks by name.
        reuse: how classes are matched, as in `learn --reuse`.
    """

    def __init__(self, tasks: Tasks, reuse: str = "auto") -> None:
        self.tasks = tasks
        self.reuse = reuse
        self.comparer = choose_encoder("auto")
        self._names: dict[tuple[str, str], np.ndarray] = {}
        self._transforms: dict[tuple[str, ...], np.ndarray] = {}
        self._alone: dict[tuple[str, int, int], MomentsAnchor] = {}

    def alone(self, new: StudyTask, shots: int, seed: int) -> MomentsAnchor:
        """Return the class moments of the drawn shots, fitted without old tasks."""
        if (new.name, shots, seed) not in self._alone:
            drawn = new.shots(shots, seed)
            fitted = fit_moments(drawn.latents.multi, drawn.labels, len(new.classes), new.metric)
            self._alone[new.name, shots, seed] = fitted
        return self._alone[new.name, shots, seed]

    def names(self, new: str, old: str) -> np.ndarray:
        """Return the (C, C_old) similarities between new and old class names."""
        if (new, old) not in self._names:
            labels = [read_labels(self.tasks[name].classes) for name in (new, old)]
            self._names[new, old] = self.comparer.similarity(*labels)
        return self._names[new, old]

    def transform(self, olds: tuple[str, ...]) -> np.ndarray:
        """Return the (D, D) matrix that whitens the mean covariance of the old tasks."""
        if olds not in self._transforms:
            covariance = mean_covariance([self.tasks[old].anchor for old in olds])
            self._transforms[olds] = whitening(covariance)
        return self._transforms[olds]

    def match(
        self, new: str, old: str, means: np.ndarray, transform: np.ndarray
    ) -> list[tuple[int, int]]:
        """Match classes as in `learn --reuse`, and return (new class, old class) pairs.

        Args:
            new: name of the new task.
            old: name of the old task.
            means: (C, D) class means of the new task's shots in the metric's space.
            transform: (D, D) whitening matrix.
        """
        likeness = compare(means, self.tasks[old].anchor.class_means(), transform)
        return [(i, j) for i, j, _, _ in find_pairs(self.names(new, old), likeness, self.reuse)]


def matching(plan: ReusePlan) -> Study:
    """Return the study of matches by names, images or both, against the hand-made list."""
    encoder = choose_encoder("auto")
    transforms: dict[str, np.ndarray] = {}  # they depend on the old tasks only

    def measure(cell: StudyCell) -> Values:
        mode, shots = cell.arguments["mode"], cell.arguments["shots"]
        comparer = NameComparer() if mode == "text-names" else encoder
        return _match_all(plan.tasks, mode.split("-")[0], shots, comparer, transforms)

    cells = [
        plan.inputs.cell(
            "matching",
            (mode, shots),
            tuple(plan.tasks),
            mode=mode,
            shots=shots,
            encoder="names" if mode == "text-names" else encoder.name,
            pairs_digest=pairs_digest(),
            **plan.settings.arguments(),
        )
        for shots in MATCHING_SHOTS
        for mode in MATCHING_MODES
    ]
    return Study(cells, measure)


def _match_all(
    tasks: Tasks,
    mode: str,
    shots: int,
    comparer: NameComparer,
    transforms: dict[str, np.ndarray],
) -> Values:
    """Match each task with all other tasks; return matches, with their relations in the list."""
    relation, found = read_pairs(), []
    for new in tasks.values():
        others = [task for task in tasks.values() if task is not new]
        known = [SourceTask(o.name, o.name, "", o.classes, o.anchor.class_means()) for o in others]
        means = new.means_of(new.shots(shots, 0))
        if new.name not in transforms:
            transforms[new.name] = whitening(mean_covariance([other.anchor for other in others]))
        matches = match_classes(
            new.classes, known, comparer, means=means, transform=transforms[new.name], mode=mode
        )
        for name, row in zip(new.classes, matches, strict=True):
            for m in row:
                key = f"{new.name}:{name}", f"{m.task}:{m.class_name}"
                found.append([*key, m.by, round(m.score, 3), relation.get(key, "none")])
    same = sum(kind == "same" for kind in relation.values())
    return {"matches": found, "same_in_all": same}
