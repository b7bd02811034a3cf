"""Attacks of the drill `poison` that lie near honest tasks, but not on them.

A defence against copies alone does not see them. Some move class means, some lie between classes,
and some are learned from other photographs of the same things.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.packet.signing import VerifiedSkill
from teachmesh_lab.drill.forged_skills import copy_of, forge, with_classes, with_means
from teachmesh_lab.drill.honest_tasks import HonestTask, author_key

NOISE = (0.15, 0.25, 0.4)
AXES = 8
MOST_DEGREES = 2**32 - 1
EVERY = 6
"""One class in so many is attacked by an author of its own."""
Values = dict[str, float]
NARROW: Values = {"rest": 1e-6, "degrees": MOST_DEGREES}
WIDE: Values = {"rest": 3.0, "degrees": MOST_DEGREES}
FEW: Values = {"degrees": 1}
Makers = dict[str, Callable[[], Iterator[VerifiedSkill]]]
Change = Callable[[HonestTask], MomentsAnchor]


class NearAttacker:
    """Makes skills near honest tasks.

    Args:
        tasks: the honest tasks.
        victims: the tasks that most attacks are made for.
        random: generator of random numbers.
    """

    def __init__(
        self,
        tasks: Sequence[HonestTask],
        victims: Sequence[HonestTask],
        random: np.random.Generator,
    ) -> None:
        self._tasks, self._victims, self._random = tasks, victims, random
        self._means = np.concatenate([task.means() for task in tasks])
        self._owner = np.repeat(np.arange(len(tasks)), [len(task.means()) for task in tasks])

    def makers(self) -> Makers:
        """Return the attacks by name; each is a function that yields its skills."""
        changes: dict[str, Change] = {
            f"copies with noise of {share} of their length": lambda task, share=share: with_means(  # type: ignore[misc]
                task.anchor, self._noisy(task.means(), share)
            )
            for share in NOISE
        }
        changes |= {
            "halfway to the nearest class of another task": lambda t: self._mixed(t, 0.5),
            "the same with a narrow covariance": lambda t: _scaled(self._mixed(t, 0.5), NARROW),
            "the same with a wide covariance": lambda t: _scaled(self._mixed(t, 0.5), WIDE),
            "the same, as if from few images": lambda t: _scaled(self._mixed(t, 0.5), FEW),
            "halfway to the centre of the task": lambda t: _towards(t, t.means().mean(axis=0)),
            "halfway to the grand mean": lambda t: _towards(t, self._means.mean(axis=0)),
            "copies moved towards the origin": lambda t: with_means(t.anchor, 0.4 * t.means()),
            "copies moved along eight axes, both ways": lambda t: _along(t.anchor, 0.35),
            "all classes equal": lambda t: with_means(t.anchor, 0 * t.means() + t.means()[:1]),
            "rotated heads": _rotated_head,
        }
        makers: Makers = {name: lambda c=c: self._changed(c) for name, c in changes.items()}  # type: ignore[misc]
        makers["copies under new names, classes relabelled"] = self._relabelled
        makers["the centre of every task, by many authors"] = self._centres
        makers["one class halfway to another task, by many authors"] = self._one_class
        makers["learned from other photographs of the same classes"] = lambda: self._photos(0)
        makers["the same, one photograph as each class"] = lambda: self._photos(1)
        return makers

    def _changed(self, change: Change) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            yield forge(victim.skill.skill, change(victim), f"near {number}")

    def _noisy(self, means: np.ndarray, share: float) -> np.ndarray:
        drawn = self._random.normal(size=means.shape)
        lengths = np.linalg.norm(means, axis=1) / np.linalg.norm(drawn, axis=1)
        return np.asarray(means + share * lengths[:, None] * drawn)

    def _mixed(self, task: HonestTask, share: float) -> MomentsAnchor:
        """Move class means towards the nearest class of another task."""
        others = self._means[self._owner != self._tasks.index(task)]
        means = task.means()
        near = [others[np.square(others - mean).sum(axis=1).argmin()] for mean in means]
        return with_means(task.anchor, share * means + (1 - share) * np.array(near))

    def _relabelled(self) -> Iterator[VerifiedSkill]:
        for number, victim in enumerate(self._victims):
            names = tuple(f"thing {label}" for label in range(victim.anchor.n_classes))
            yield copy_of(victim.skill.skill, task=f"relabelled {number}", classes=names)

    def _centres(self) -> Iterator[VerifiedSkill]:
        for number, task in enumerate(self._tasks):
            anchor = with_means(task.anchor, task.means().mean(axis=0, keepdims=True))
            yield forge(task.skill.skill, anchor, "centre", author_key(f"centre {number}"))

    def _one_class(self) -> Iterator[VerifiedSkill]:
        for task in self._tasks:
            mixed = self._mixed(task, 0.6)
            for label in range(0, mixed.n_classes, EVERY):
                key = author_key(f"one of {task.name} {label}")
                yield forge(task.skill.skill, with_classes(mixed, [label]), "one", key)

    def _photos(self, each: int) -> Iterator[VerifiedSkill]:
        """Class means of the attacker's own photographs, or one class per photograph."""
        for number, task in enumerate(self._victims):
            points, labels = task.photos
            means = [points[labels == label].mean(axis=0) for label in np.unique(labels)]
            anchor = with_means(task.anchor, points if each else np.array(means))
            yield forge(task.skill.skill, anchor, f"photographs {number}")


def _scaled(anchor: MomentsAnchor, values: Values) -> MomentsAnchor:
    """Return an anchor with other values for tensors of one number."""
    arrays = {name: np.array([v], getattr(anchor, name).dtype) for name, v in values.items()}
    return dataclasses.replace(anchor, **arrays)


def _towards(task: HonestTask, goal: np.ndarray) -> MomentsAnchor:
    return with_means(task.anchor, (task.means() + goal) / 2)


def _along(anchor: MomentsAnchor, share: float) -> MomentsAnchor:
    """Move each class mean by a share of its length along several axes of the covariance."""
    means, axes = anchor.class_means(), anchor.roots()[:AXES]
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    units = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    moved = [means + way * share * lengths * axis for axis in units for way in (1, -1)]
    return with_means(anchor, np.concatenate(moved))


def _rotated_head(task: HonestTask) -> MomentsAnchor:
    names = ("head", "head_scales", "head_bias")
    rolled = {name: np.roll(getattr(task.anchor, name), 1, axis=0) for name in names}
    return dataclasses.replace(task.anchor, **rolled)
