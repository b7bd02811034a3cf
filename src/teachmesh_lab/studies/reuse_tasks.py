"""Tasks for the studies of reuse: latents, skills, and a hand-made list of related classes."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from teachmesh.agent import Agent
from teachmesh.bank.home import Home
from teachmesh.data.tasks import Split, Task
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.discriminant import class_means
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.packed_moments import Packing, pack_moments
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents, labelled
from teachmesh.model.head import Head
from teachmesh.model.head_training import fit_head
from teachmesh_lab.evaluation.latent_cache import LatentCache, embed_cached
from teachmesh_lab.studies.row_norm import RowNorm
from teachmesh_lab.studies.study_cells import StudyInputs

PAIRS = Path(__file__).with_name("reuse_pairs.csv")
SHOTS = (3, 5, 10, 0)
"""Numbers of images per class; 0 for all."""
HALF = 0.5
"""Minimum fraction of shared classes for pairs of tasks that are studied in detail."""
Relations = dict[tuple[str, str], str]
"""Relation of two classes: ("task:class", "task:class") -> "same" or "similar"."""


@dataclass(frozen=True)
class StudySettings:
    """Settings for all tasks of a study.

    Attributes:
        packing: way to write the class moments of skills; None for full size.
        validate: whether to answer validation images instead of test images.
    """

    packing: Packing | None = None
    validate: bool = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a cell, none for the defaults, so that old cells stay valid."""
        packing = {} if self.packing is None else {"packing": astuple(self.packing)}
        return packing | ({"images": "validation"} if self.validate else {})


DEFAULT_SETTINGS = StudySettings()


@dataclass(frozen=True, eq=False)
class StudyTask:
    """A task with its latents, and the skill learned from all its training images.

    Latents are computed when they are first needed.

    Attributes:
        task: images and labels of the task.
        embed: function that computes the latents of a split; of hashes of pixels that follow, the
            images are left out.
        load_metric: function that returns the metric of the backbone's latents.
        settings: size of the skill, and images to answer.
    """

    task: Task
    embed: Callable[..., LabelledLatents]
    load_metric: Callable[[], Metric]
    settings: StudySettings = DEFAULT_SETTINGS
    _heads: dict[float | None, Head] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.task.classes

    @cached_property
    def train(self) -> LabelledLatents:
        """Latents of the training images."""
        return self.embed(self.task.train)

    @cached_property
    def validation(self) -> LabelledLatents:
        """Latents of the validation images."""
        return self.embed(self.task.validation)

    @cached_property
    def test(self) -> LabelledLatents:
        """Latents of the images to answer, without those whose pixels were learned."""
        validate = self.settings.validate
        split = self.task.validation if validate else self.task.test
        learned = [self.train] if validate else [self.train, self.validation]
        digests = [part.digests for part in learned]
        return self.embed(split, [one for one in digests if one is not None])

    @property
    def metric(self) -> Metric:
        """Metric of the backbone's latents."""
        return self.load_metric()

    @cached_property
    def anchor(self) -> MomentsAnchor:
        """Class moments of all training images, as readers of the skill get them."""
        train, n_classes = self.train, len(self.classes)
        fitted = fit_moments(train.latents.multi, train.labels, n_classes, self.metric)
        packing = self.settings.packing
        return fitted if packing is None else pack_moments(fitted, packing).unpacked()

    @cached_property
    def rows(self) -> np.ndarray:
        """The (C, D) float64 array of the head's rows, from the class moments."""
        return self.anchor.head_rows()

    @property
    def head(self) -> Head:
        """The head trained on the last layer's latents."""
        return self.head_under(None)

    def head_under(self, norm: float | None) -> Head:
        """Return the head trained with rows divided by this p-norm, or undivided if None."""
        if norm not in self._heads:
            x, y, held = self.train.latents.last, self.train.labels, self.validation
            validation = held.latents.last, held.labels
            rows = None if norm is None else RowNorm(norm)
            self._heads[norm] = fit_head(x, y, *validation, len(self.classes), rows=rows).head
        return self._heads[norm]

    def shots(self, per_class: int, seed: int) -> LabelledLatents:
        """Draw training images at random from each class.

        Args:
            per_class: number of images per class; 0 for all.
            seed: seed of the random draw.
        """
        labels = self.train.labels
        if not per_class:
            return self.train
        random = np.random.default_rng(seed)
        rows = [np.flatnonzero(labels == label) for label in range(len(self.classes))]
        drawn = [random.choice(row, min(per_class, len(row)), replace=False) for row in rows]
        return take_rows(self.train, np.concatenate(drawn))

    def means_of(self, shots: LabelledLatents) -> np.ndarray:
        """Return the (C, D) class means of the given images in the metric's space."""
        points = self.metric.apply(shots.latents.multi)
        return class_means(points, shots.labels, len(self.classes))


Tasks = dict[str, StudyTask]


@dataclass(frozen=True, eq=False)
class ReusePlan:
    """Scope of the studies of reuse.

    Attributes:
        inputs: tasks and backbone.
        tasks: the tasks with their latents.
        seeds: number of random draws of the shots, or of random starts.
        shots: numbers of images per class to measure; 0 for all images.
        reuse: how classes are matched in `few`, as in `learn --reuse`.
        pairs: CSV file with the experiments of `similar`; None for the project's own.
        settings: settings of the tasks, for the studies that compare them.
    """

    inputs: StudyInputs
    tasks: Tasks
    seeds: int = 20
    shots: tuple[int, ...] = SHOTS
    reuse: str = "auto"
    pairs: Path | None = None
    settings: StudySettings = DEFAULT_SETTINGS

    def draws(self, shots: int) -> int:
        """Return the number of random draws; it is 1 if all images are used."""
        return self.seeds if shots else 1


def study_tasks(
    inputs: StudyInputs, home: Home, backbone: str, settings: StudySettings = DEFAULT_SETTINGS
) -> Tasks:
    """Prepare the tasks; their latents are kept in the home's cache."""
    agent = Agent(home.path, backbone=backbone)
    cache = LatentCache(home.cache / "latents")

    def embed(split: Split, learned: Sequence[np.ndarray] = ()) -> LabelledLatents:
        embedded = embed_cached(agent.backbone, split.images, cache)
        return labelled(split, embedded.without(learned))

    def metric() -> Metric:
        return agent.backbone.reference.metric

    return {name: StudyTask(task, embed, metric, settings) for name, task in inputs.tasks.items()}


def take_rows(split: LabelledLatents, rows: np.ndarray | slice) -> LabelledLatents:
    """Return the latents and labels of the selected images of a split."""
    latents = Latents(split.latents.last[rows], split.latents.multi[rows])
    return LabelledLatents(latents, split.labels[rows])


def read_pairs() -> Relations:
    """Read the hand-made list of related classes; each pair is returned in both orders."""
    relation: Relations = {}
    with PAIRS.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            members = row["members"].split("; ")
            for one in members:
                for other in members:
                    if one.split(":")[0] != other.split(":")[0]:
                        relation.setdefault((one, other), row["relation"])
    return relation


def pairs_digest() -> str:
    """Return a hash of the hand-made list of related classes."""
    return hashlib.sha256(PAIRS.read_bytes()).hexdigest()[:16]


def shared_classes(new: StudyTask, old: StudyTask, relation: Relations) -> dict[int, int]:
    """Map each new class to the same class of the old task, according to the hand-made list."""
    return {
        i: j
        for i, one in enumerate(new.classes)
        for j, other in enumerate(old.classes)
        if relation.get((f"{new.name}:{one}", f"{old.name}:{other}")) == "same"
    }


def ordered_pairs(tasks: Tasks) -> list[tuple[str, str, float]]:
    """Return (new task, old task, fraction of new classes that the old task also has).

    Pairs with the most shared classes come first.
    """
    relation = read_pairs()
    found = []
    for new in tasks.values():
        for old in tasks.values():
            if new is not old:
                shared = len(shared_classes(new, old, relation))
                found.append((-shared, new.name, old.name, shared / len(new.classes)))
    found.sort(key=lambda row: row[0])
    return [(new, old, share) for _, new, old, share in found]


def accuracy(head: Head, images: LabelledLatents) -> float:
    """Return the accuracy (0 to 1) of a head on the last layer's latents."""
    return float(np.mean(head.logits(images.latents.last).argmax(1) == images.labels))
