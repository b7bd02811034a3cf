"""Trials of bias training and of rounded biases, measured on validation images only.

- `biases-trials`: ways to spend the default training budget (table in docs/biases.md).
- `biases-bytes`: biases of `--bb auto`, stored as float32, float16 and int8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from teachmesh.agent import Agent
from teachmesh.biases.bias_choice import Trained, accuracy
from teachmesh.biases.bias_encoding import Kind, encode_biases
from teachmesh.biases.bias_head import TapLatents
from teachmesh.biases.bias_layout import biasable_layers, choose_layers
from teachmesh.biases.bias_learning import train_biases
from teachmesh.biases.bias_options import BiasOptions
from teachmesh.biases.bias_plan import BiasPlan, TaskCosts, costs_of_task, plan_biases, smaller
from teachmesh.biases.bias_task import BiasTask, TaskImages, decode_rows
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.data.tasks import Task, find_tasks, read_task
from teachmesh.learning.embedded_task import EmbeddedTask, embed_task
from teachmesh.learning.fit_method import fit_method, log_within, start_head
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.learning.variants import find_variant
from teachmesh.mapping.fusion import WEIGHTS, fuse, log_softmax, tempered_log_loss
from teachmesh.model.backbone import Backbone
from teachmesh.model.embedding import labelled
from teachmesh_lab.evaluation.bias_store import StoredBiases
from teachmesh_lab.evaluation.latent_cache import LatentCache, embed_cached
from teachmesh_lab.studies.bias_studies import BiasStudyPlan
from teachmesh_lab.studies.study_cells import Study, StudyCell, Values

METHOD = "moments"
KINDS: tuple[Kind, ...] = ("fp32", "fp16", "int8")
BATCH_SIZE = 16
NO_BIASES = "none"
"""Name of the trial that learns without biases."""


@dataclass(frozen=True)
class Trial:
    """One way to spend the training budget.

    Attributes:
        name: header of the trial's column in the table.
        small: whether training starts with smaller images.
        batch_size: number of images per step.
        bias_rate: maximum learning rate of the biases (Adam).
        head_rate: maximum learning rate of the head (Adam).
        refit: whether the final head is the mean of the trained head and a closed-form head.
    """

    name: str
    small: bool
    batch_size: int
    bias_rate: float
    head_rate: float
    refit: bool = True

    def plan(self, costs: TaskCosts) -> BiasPlan:
        """Return the training plan of `--bb auto`, changed to the trial's settings."""
        return replace(
            plan_biases(BiasOptions(), costs),
            batch_size=self.batch_size,
            bias_rate=self.bias_rate,
            head_rate=self.head_rate,
            refit=self.refit,
        )


TRIALS = (
    Trial("16, rates 3e-2, 1e-2", True, 16, 3e-2, 1e-2),
    Trial("8, rates 3e-2, 1e-2", True, 8, 3e-2, 1e-2),
    Trial("8, rates 2e-2, 7e-3 (`auto`)", True, 8, 2e-2, 7e-3),
    Trial("8, rates 1.4e-2, 5e-3", True, 8, 1.4e-2, 5e-3),
    Trial("4, rates 1.4e-2, 5e-3", True, 4, 1.4e-2, 5e-3),
    Trial("`auto`, whole images only", False, 8, 2e-2, 7e-3),
    Trial("`auto`, trained head alone", True, 8, 2e-2, 7e-3, refit=False),
)


class _Recorder(StoredBiases):
    """Store that also keeps the last trained biases in memory, before they are rounded."""

    last: Trained | None = None

    def fetch(
        self, task: BiasTask, plan: BiasPlan, head2toe: bool, train: Callable[[], Trained]
    ) -> Trained:
        self.last = super().fetch(task, plan, head2toe, train)
        return self.last


class _Workshop:
    """Reads, embeds and learns tasks with a backbone that is loaded only once."""

    def __init__(self, plan: BiasStudyPlan) -> None:
        self._plan = plan
        self._agent = Agent(plan.home.path, backbone=plan.backbone)
        self._latents = LatentCache(plan.home.cache / "latents")
        self._last: tuple[str, BiasTask] | None = None

    @property
    def backbone(self) -> Backbone:
        """The frozen network."""
        return self._agent.backbone

    def read(self, cell: StudyCell) -> Task:
        """Return the task that a cell measures."""
        (path,) = find_tasks(self._plan.folder(cell), cell.arguments["tasks"])
        return read_task(path)

    def embed(self, task: Task) -> EmbeddedTask:
        """Return the latents of a task, read from the home's cache if possible."""
        splits = task.train, task.validation
        embedded = [embed_cached(self.backbone, s.images, self._latents) for s in splits]
        train, validation = map(labelled, splits, embedded)
        return EmbeddedTask(train, validation, TaskImages.of(*zip(splits, embedded, strict=True)))

    def bias_task(self, cell: StudyCell) -> BiasTask:
        """Fit class moments to a cell's task, and return the input for training its biases."""
        name = cell.arguments["tasks"][0]
        if self._last is None or self._last[0] != name:
            self._last = name, self._fit(self.read(cell))
        return self._last[1]

    def _fit(self, task: Task) -> BiasTask:
        embedded = embed_task(self.backbone, task)  # one pass over both splits, as in `learn`
        train, validation = embedded.train, embedded.validation
        assert embedded.images is not None
        metric = self.backbone.reference.metric
        fitted = fit_method(METHOD, train, validation, len(task.classes), metric)
        return BiasTask(
            backbone=self.backbone,
            method=METHOD,
            images=embedded.images,
            train_labels=train.labels,
            validation_labels=validation.labels,
            start=start_head(fitted, METHOD, train),
            without=log_within(fitted, METHOD, validation.latents, metric),
            before_macs=self.backbone.macs_per_image * len(embedded) + fitted.cost_macs,
        )

    def learn(self, task: Task, embedded: EmbeddedTask) -> Trained | None:
        """Learn a task with `--bb auto`; return its biases, or None if none were trained."""
        store = _Recorder(LatentCache(self._plan.home.cache / "biases"))
        lesson = Lesson.of(task, find_variant("moments+bb"), created="2000-01-01T00:00:00Z")
        Teacher(self.backbone, Author("0" * 64, ""), store).teach(lesson, embedded)
        return store.last


def bias_trials(plan: BiasStudyPlan) -> Study:
    """Return the study of every task with every trial, and without biases."""
    workshop = _Workshop(plan)
    trials = {trial.name: trial for trial in TRIALS}

    def measure(cell: StudyCell) -> Values:
        task, name = workshop.bias_task(cell), cell.arguments["trial"]["name"]
        scores = task.without if name == NO_BIASES else _train(task, trials[name])
        log_loss = tempered_log_loss(scores, task.validation_labels)
        right = accuracy(scores, task.validation_labels)
        return {"log_loss": float(log_loss), "accuracy": float(right)}

    settings: list[dict[str, Any]] = [{"name": NO_BIASES}, *(asdict(trial) for trial in TRIALS)]
    cells = [
        plan.cell("biases-trials", (name,), setting["name"], trial=setting)
        for name in plan.inputs.tasks
        for setting in settings
    ]
    return Study(cells, measure)


def bias_bytes(plan: BiasStudyPlan) -> Study:
    """Return the study of encoded biases: log loss and changed answers, with a float32 head."""
    workshop = _Workshop(plan)

    def measure(cell: StudyCell) -> Values:
        task = workshop.read(cell)
        embedded = workshop.embed(task)
        trained = workshop.learn(task, embedded)
        if trained is None:
            return {"encodings": []}
        return {"encodings": list(_try_encodings(workshop.backbone, embedded, trained))}

    return Study([plan.cell("biases-bytes", (name,)) for name in plan.inputs.tasks], measure)


def _train(task: BiasTask, trial: Trial) -> np.ndarray:
    """Return the (V, C) log posteriors of the validation images, with the best bias weight."""
    forward = task.backbone.forward_pass
    layers = biasable_layers(forward.net, task.backbone.size)
    bb = BeneficialBiases(forward, choose_layers(layers, "all"))
    small = smaller(forward, bb) if trial.small else None
    costs = costs_of_task(task, bb, small)
    found = train_biases(task, trial.plan(costs), bb, small).head
    posteriors = log_softmax(found.head.logits(found.features))
    pools = (fuse(task.without, posteriors, weight) for weight in WEIGHTS)
    return min(pools, key=lambda pool: tempered_log_loss(pool, task.validation_labels))


def _try_encodings(
    backbone: Backbone, embedded: EmbeddedTask, trained: Trained
) -> Iterator[dict[str, Any]]:
    """Yield the size, log loss, accuracy and fraction of changed answers for each encoding."""
    forward = backbone.forward_pass
    bb = BeneficialBiases(
        forward, choose_layers(biasable_layers(forward.net, backbone.size), "all")
    )
    labels = embedded.validation.labels
    exact: np.ndarray | None = None
    for kind in KINDS:
        encoded = encode_biases(torch.from_numpy(trained.values), bb.layout, bb.deviations, kind)
        values = encoded.decode(bb.layout, bb.deviations)
        latents = _biased_latents(backbone, bb, embedded, values)
        posteriors = log_softmax(trained.head.head.logits(latents))
        exact = posteriors if exact is None else exact
        yield {
            "kind": kind,
            "size_bytes": encoded.size_bytes,
            "log_loss": float(-posteriors[np.arange(len(labels)), labels].mean()),
            "accuracy": float(accuracy(posteriors, labels)),
            "changed": float(np.mean(posteriors.argmax(1) != exact.argmax(1))),
        }


def _biased_latents(
    backbone: Backbone, bb: BeneficialBiases, embedded: EmbeddedTask, values: torch.Tensor
) -> np.ndarray:
    """Return the (V, D) multi-depth latents of the validation images, computed with biases."""
    assert embedded.images is not None
    images, count = embedded.images.validation, len(embedded.validation)
    reads = TapLatents("multi", backbone.reference, bb.device)
    parts = []
    for start in range(0, count, BATCH_SIZE):
        rows = np.arange(start, min(start + BATCH_SIZE, count))
        parts.append(reads.exact(bb.taps(decode_rows(images, rows, backbone.size), values)).numpy())
    return np.concatenate(parts)
