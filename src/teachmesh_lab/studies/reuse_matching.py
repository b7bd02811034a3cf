"""Matching on the measuring tasks: of one pair as `learn` does it, and all against the list."""

from __future__ import annotations

from functools import partial

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.reuse.class_names import read_labels
from teachmesh.reuse.matching import SourceTask, find_pairs, match_classes
from teachmesh.reuse.text_encoders import NameComparer, choose_encoder
from teachmesh.reuse.visual_similarity import compare, whitening
from teachmesh_lab.studies.reuse_data import Cell, Known, Plan, Tasks, cell, read_pairs


class Pairs:
    """Matching of one new task with old ones, with what does not change from seed to seed kept."""

    def __init__(self, tasks: Tasks, reuse: str = "auto") -> None:
        self.tasks = tasks
        self.reuse = reuse
        self.comparer = choose_encoder("auto")
        self._names: dict[tuple[str, str], np.ndarray] = {}
        self._transforms: dict[tuple[str, ...], np.ndarray] = {}
        self._alone: dict[tuple[str, int, int], MomentsAnchor] = {}

    def alone(self, new: Known, shots: int, seed: int) -> MomentsAnchor:
        """Moments of the shots by themselves; the same whatever the old tasks are."""
        if (new.name, shots, seed) not in self._alone:
            drawn = new.shots(shots, seed)
            fitted = fit_moments(drawn.latents.multi, drawn.labels, len(new.classes))
            self._alone[new.name, shots, seed] = fitted
        return self._alone[new.name, shots, seed]

    def names(self, new: str, old: str) -> np.ndarray:
        """(C, C_old) similarities of names."""
        if (new, old) not in self._names:
            labels = [read_labels(self.tasks[name].classes) for name in (new, old)]
            self._names[new, old] = self.comparer.similarity(*labels)
        return self._names[new, old]

    def transform(self, olds: tuple[str, ...]) -> np.ndarray:
        """(D, D) whitening by the mean covariance of old tasks."""
        if olds not in self._transforms:
            moments = [self.tasks[old].anchor.moments() for old in olds]
            roots = np.concatenate([m.roots for m in moments])
            residual = np.mean([m.residual for m in moments], axis=0)
            covariance = roots.T @ roots / len(olds) + np.diag(residual)
            self._transforms[olds] = whitening(covariance)
        return self._transforms[olds]

    def found(
        self, new: str, old: str, means: np.ndarray, transform: np.ndarray
    ) -> list[tuple[int, int]]:
        """(new class, old class), as `learn --reuse` finds them in one old task."""
        likeness = compare(means, self.tasks[old].anchor.class_means(), transform)
        return [(i, j) for i, j, _, _ in find_pairs(self.names(new, old), likeness, self.reuse)]


def part_matching(tasks: Tasks, plan: Plan) -> None:
    """Precision and recall against the hand-made list, by name, by looks and by both."""
    encoder = choose_encoder("auto")
    for shots in (5, 0):
        for mode, comparer in (
            ("text", encoder),
            ("text-names", NameComparer()),
            ("vision", encoder),
            ("auto", encoder),
        ):
            name = f"matching/{mode}-{shots}"
            cell(plan.out, name, partial(matched, tasks, mode, shots, comparer))


def matched(tasks: Tasks, mode: str, shots: int, comparer: NameComparer) -> Cell:
    """Every match of every task with all others, and what the hand-made list calls it."""
    relation, found = read_pairs(), []
    for new in tasks.values():
        others = [task for task in tasks.values() if task is not new]
        known = [SourceTask(o.name, o.name, "", o.classes, o.anchor.class_means()) for o in others]
        means = new.means_of(new.shots(shots, 0))
        covariance = np.mean([o.anchor.integer_scatter() for o in others], axis=0) * 2.0**-40
        matches = match_classes(
            new.classes,
            known,
            comparer,
            means=means,
            transform=whitening(covariance),
            mode=mode.split("-")[0],
        )
        for name, row in zip(new.classes, matches, strict=True):
            for m in row:
                key = f"{new.name}:{name}", f"{m.task}:{m.class_name}"
                found.append([*key, m.by, round(m.score, 3), relation.get(key, "none")])
    same = sum(kind == "same" for kind in relation.values())
    return {"matches": found, "same_in_all": same}
