"""Latents of the measuring tasks, their skills and the hand-made list of equal classes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from teachmesh.agent import Agent
from teachmesh.bank.atomic import write_file
from teachmesh.data.tasks import find_tasks, read_task
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.moments_fit import class_means, fit_moments
from teachmesh.mapping.quantise import dequantise_rows
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents, labelled
from teachmesh.model.head import Head
from teachmesh.model.head_training import fit_head
from teachmesh_lab.evaluation.latent_cache import LatentCache, embed_cached
from teachmesh_lab.studies.row_norm import RowNorm

PAIRS = Path(__file__).with_name("reuse_pairs.csv")
Cell = dict[str, Any]
SHOTS = (3, 5, 10, 0)
"""Images per class; 0 for all."""
HALF = 0.5
"""Pairs whose old task has so much of the new one's classes are looked at more closely."""


@dataclass(frozen=True, eq=False)
class Known:
    """A task with its latents, and what was learned from all its training images."""

    name: str
    classes: tuple[str, ...]
    train: LabelledLatents
    validation: LabelledLatents
    test: LabelledLatents
    _heads: dict[float | None, Head] = field(default_factory=dict, init=False)

    @cached_property
    def anchor(self) -> MomentsAnchor:
        """Class moments of all training images."""
        return fit_moments(self.train.latents.multi, self.train.labels, len(self.classes))

    @cached_property
    def rows(self) -> np.ndarray:
        """(C, D) float64 head rows of these."""
        return dequantise_rows(self.anchor.head, self.anchor.head_scales)

    @property
    def head(self) -> Head:
        """The head trained on the last layer's latents."""
        return self.head_under(None)

    def head_under(self, norm: float | None) -> Head:
        """The same, each row divided by its p-norm in the forward pass (Sec. 7.2, 1)."""
        if norm not in self._heads:
            x, y, held = self.train.latents.last, self.train.labels, self.validation
            asked = held.latents.last, held.labels
            rows = None if norm is None else RowNorm(norm)
            self._heads[norm] = fit_head(x, y, *asked, len(self.classes), rows=rows).head
        return self._heads[norm]

    def shots(self, per_class: int, seed: int) -> LabelledLatents:
        """So many training images of each class, drawn by a seed; 0 for all."""
        labels = self.train.labels
        if not per_class:
            return self.train
        random = np.random.default_rng(seed)
        rows = [np.flatnonzero(labels == label) for label in range(len(self.classes))]
        return taken_from(
            self.train,
            np.concatenate(
                [random.choice(row, min(per_class, len(row)), replace=False) for row in rows]
            ),
        )

    def means_of(self, shots: LabelledLatents) -> np.ndarray:
        """(C, D) class means of some of its images, multi-depth."""
        return class_means(shots.latents.multi, shots.labels, len(self.classes))


def taken_from(split: LabelledLatents, rows: np.ndarray | slice) -> LabelledLatents:
    """Some images of a split."""
    latents = Latents(split.latents.last[rows], split.latents.multi[rows])
    return LabelledLatents(latents, split.labels[rows])


Tasks = dict[str, Known]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        out: folder of the cells.
        seeds: draws of the shots, or of what is random in training.
        shots: images per class; 0 for all.
        reuse: how `few` matches classes, as `learn --reuse` takes it.
    """

    out: Path
    seeds: int = 20
    shots: tuple[int, ...] = SHOTS
    reuse: str = "auto"


def load_tasks(tasks: Path, home: Path, backbone: str) -> dict[str, Known]:
    """Every task of a folder; latents through the home's cache."""
    agent = Agent(home, backbone=backbone)
    cache = LatentCache(agent.home.cache / "latents")
    known = {}
    for path in find_tasks(tasks, None):
        task = read_task(path)
        parts = [
            labelled(split, embed_cached(agent.backbone, split.images, cache))
            for split in (task.train, task.validation, task.test)
        ]
        known[task.name] = Known(task.name, task.classes, *parts)
    return known


def read_pairs() -> dict[tuple[str, str], str]:
    """("task:class", "task:class") -> "same" or "similar", both ways round."""
    relation: dict[tuple[str, str], str] = {}
    with PAIRS.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            members = row["members"].split("; ")
            for one in members:
                for other in members:
                    if one.split(":")[0] != other.split(":")[0]:
                        relation.setdefault((one, other), row["relation"])
    return relation


def shared_classes(new: Known, old: Known, relation: dict[tuple[str, str], str]) -> dict[int, int]:
    """Class of the new task -> the same class of the old one, by the hand-made list."""
    return {
        i: j
        for i, one in enumerate(new.classes)
        for j, other in enumerate(old.classes)
        if relation.get((f"{new.name}:{one}", f"{old.name}:{other}")) == "same"
    }


def ordered_pairs(tasks: Tasks) -> list[tuple[str, str, float]]:
    """(new task, old task, share of the new classes that the old one has), most classes first."""
    relation = read_pairs()
    found = []
    for new in tasks.values():
        for old in tasks.values():
            if new is not old:
                shared = len(shared_classes(new, old, relation))
                found.append((-shared, new.name, old.name, shared / len(new.classes)))
    found.sort(key=lambda row: row[0])
    return [(new, old, share) for _, new, old, share in found]


def accuracy(head: Head, asked: LabelledLatents) -> float:
    """Of a head on the last layer's latents, 0 to 1."""
    return float(np.mean(head.logits(asked.latents.last).argmax(1) == asked.labels))


def cell(folder: Path, name: str, measure: Callable[[], Cell]) -> Cell:
    """The result of one cell, measured unless it is there already."""
    path = folder / f"{name}.json"
    if path.exists():
        found: Cell = json.loads(path.read_text("utf-8"))
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    result = measure()
    write_file(path, json.dumps(result).encode())
    return result
