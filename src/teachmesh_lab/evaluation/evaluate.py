"""`teachmesh evaluate`: learn all tasks of a folder, then measure accuracy without an oracle."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent import Agent
from teachmesh.biases.bias_task import TaskImages, readable
from teachmesh.data.loader import Progress
from teachmesh.data.tasks import Split, Task, find_tasks, read_task
from teachmesh.errors import DataError, UsageError
from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.sample_limits import check_sample_limits
from teachmesh.learning.teacher import Lesson
from teachmesh.learning.variants import NO_CONSTANTS, MapperConstants, check_small, layers_of
from teachmesh.model.embedding import Embedded, LabelledLatents, labelled
from teachmesh.packet.signing import sign
from teachmesh_lab.evaluation.bias_store import StoredBiases
from teachmesh_lab.evaluation.class_level import SeedAnswers, class_level
from teachmesh_lab.evaluation.corrective import choose_comparer, correct
from teachmesh_lab.evaluation.image_answers import surest_mistakes
from teachmesh_lab.evaluation.latent_cache import LatentCache, check_embedded, embed_cached
from teachmesh_lab.evaluation.measure import TaskScore, mean_of, measure
from teachmesh_lab.evaluation.packing_text import read_packing
from teachmesh_lab.evaluation.page_origin import environment, invocation

if TYPE_CHECKING:
    from teachmesh.data.images import ImageRef
    from teachmesh.learning.variants import Variant
    from teachmesh.packet.card import Card

Remark = Callable[[str], None]


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of an evaluation.

    Attributes:
        tasks_dir: folder with one folder or archive per task.
        only: names of the tasks to use; by default, all tasks.
        method: task mapper or variant (`maha+bb`); by default, the home's method.
        quality: preset, as in `teachmesh learn --quality`; None for none.
        bb: layers of beneficial biases, as in `teachmesh learn --bb`.
        bb_passes: budget for learning a task, in forward passes over its images.
        constants: constants of the task mapper.
        max_bytes: maximum size of a skill in bytes, as in `teachmesh learn --max-bytes`.
        packing: the same way for all skills to write class moments, see `read_packing`; None for
            that of `teachmesh learn`.
        validate: whether to classify validation images instead of test images, for choices.
        backbone: alias of the backbone; by default, the home's backbone.
        seed: seed for splits, clusters, samples and batch order.
        home: home of the agent; its backbones are used, but its bank is not modified.
        device: device of the backbone.
        engine: library that computes latents, as in `teachmesh learn --engine`.
        dtype: number type of latents, as in `teachmesh learn --dtype`. Biases are trained, and run,
            with torch and float32.
        corrective: similarity threshold for equivalent classes of different tasks, for corrected
            accuracies (Sec. 7.1); None for plain accuracies only.
        encoder: encoder of class names for `corrective`; None for "auto".
        pictures: whether the document contains small pictures of the surest mistakes.
    """

    tasks_dir: Path
    only: Sequence[str] | None = None
    method: str | None = None
    quality: str | None = None
    bb: str | None = None
    bb_passes: float | None = None
    constants: MapperConstants = NO_CONSTANTS
    max_bytes: int | None = None
    packing: str | None = None
    validate: bool = False
    backbone: str | None = None
    seed: int = 0
    home: Path | None = None
    device: str = "auto"
    engine: str = "torch"
    dtype: str = "fp32"
    corrective: float | None = None
    encoder: str | None = None
    pictures: bool = False


@dataclass
class _Clock:
    """Seconds spent on each part of an evaluation."""

    latents: float = 0.0
    learn: float = 0.0
    predict: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the seconds, rounded to milliseconds."""
        return {part: round(seconds, 3) for part, seconds in vars(self).items()}


class _Embedder:
    """Computes latents of splits through the cache, and reports progress over all splits."""

    def __init__(
        self, agent: Agent, total: int, progress: Progress | None, remark: Remark | None
    ) -> None:
        self.agent = agent
        self.remark = remark or (lambda _: None)
        self.cache = LatentCache(agent.home.cache / "latents")
        self.biases = StoredBiases(LatentCache(agent.home.cache / "biases"))
        self.total = total
        self.done = 0
        self.computed = 0
        self.left_out = 0
        self.progress = progress
        self._seen: dict[str, list[tuple[Split, np.ndarray]]] = {}

    def __call__(
        self, task: Task, split: Split, *, answered: bool = False
    ) -> tuple[LabelledLatents, list[ImageRef]]:
        """Return latents with labels, and the readable images.

        Answered images with the pixels of images of other splits, seen before, are left out.

        Raises:
            DataError: too many images are unreadable, or all answered images are left out.
        """

        def report(count: int, _of: int) -> None:
            if self.progress is not None:
                self.progress(self.done + count, self.total)

        embedded = embed_cached(self.agent.backbone, split.images, self.cache, progress=report)
        check_embedded(embedded, split, task.name)
        if not embedded.from_cache:
            self.computed += len(split.images)
        self.done += len(split.images)
        report(0, 0)
        if answered:
            embedded = self._unseen(task, split, embedded)
        else:
            self._seen.setdefault(task.name, []).append((split, embedded.digests))
        return labelled(split, embedded), readable(split.images, embedded)

    def training(self, task: Task) -> Progress:
        """Return the progress of training a task's biases, which is announced when it begins."""
        begun = False

        def report(done: int, planned: int) -> None:
            nonlocal begun
            if not begun:
                self.remark(f"training biases of {task.name}")
            begun = True
            if self.progress is not None:
                self.progress(done, planned)

        return report

    def _unseen(self, task: Task, split: Split, embedded: Embedded) -> Embedded:
        others = [digests for seen, digests in self._seen[task.name] if seen is not split]
        tests = embedded.without(others, task.name)
        self.left_out += len(embedded.kept) - len(tests.kept)
        return tests


def run_evaluate(
    options: EvaluateOptions, *, progress: Progress | None = None, remark: Remark | None = None
) -> dict[str, Any]:
    """Learn every task, then classify test images of all tasks without a task oracle.

    With `validate`, validation images are classified instead.

    Latents and trained biases are kept in the home's cache. Therefore an interrupted run continues
    with the task where it stopped, and another method needs no second backbone pass.

    Args:
        options: tasks, method and settings.
        progress: function called with (number of images done, total number of images); while
            biases are trained, with those of one training.
        remark: function called with one sentence when a training begins.

    Returns:
        The result, a document with schema `teachmesh.evaluate/1`.

    Raises:
        DataError: a task cannot be read or has no images to answer.
        UsageError: the threshold, the encoder, the packing or a constant is invalid; raised before
            learning.
        DeviceError: the device cannot run the engine or the number type; raised before learning.
        MissingExtraError: the encoder or the engine is not installed; raised before learning.
    """
    started_s = time.perf_counter()
    comparer = choose_comparer(options.corrective, options.encoder)
    paths = find_tasks(options.tasks_dir, options.only)
    tasks = [read_task(path, seed=options.seed) for path in paths]
    _check_answered(tasks, options)
    with tempfile.TemporaryDirectory(prefix="teachmesh-evaluate-") as folder:
        agent = Agent(
            options.home,
            backbone=options.backbone,
            mapper=options.method,
            device=options.device,
            engine=options.engine,
            dtype=options.dtype,
            bank=Path(folder) / "bank",
            ridge=options.constants.ridge,
        )
        layers = layers_of(options.quality, options.bb)
        variant = agent.variant.with_biases(layers, options.bb_passes)
        options.constants.check_used({variant.method})
        _check_size(options, variant)
        for task in tasks:
            last_dim = agent.latent_sizes().get("last")
            check_sample_limits(task, {variant.method}, options.constants, last_dim)
        splits = [s for t in tasks for s in (t.train, t.validation, _answered(t, options))]
        total = sum(len(split.images) for split in splits)
        embed = _Embedder(agent, total, progress, remark)
        clock = _Clock()
        cards = [_learn(agent, task, embed, clock, options, variant) for task in tasks]
        scores, images = _measure(agent, tasks, embed, clock, options)
        document = {
            "schema": "teachmesh.evaluate/1",
            "method": variant.name,
            "quality": options.quality,
            "bb": None if variant.biases is None else asdict(variant.biases),
            "constants": options.constants.given(),
            "max_bytes": options.max_bytes,
            "packing": options.packing,
            "images": "validation" if options.validate else "test",
            "backbone": agent.backbone.name,
            "fingerprint": agent.backbone.fingerprint,
            **agent.backbone.arithmetic.to_json(),
            "seed": options.seed,
            "tasks": [
                {**score.to_json(), **_bias_json(card)}
                for score, card in zip(scores, cards, strict=True)
            ],
            "mean": mean_of(scores),
            "class_level": _class_level(tasks, scores, images if options.pictures else []),
            "origin": {**environment(), **invocation()},
            "unknown": {"known_called_unknown": float(np.mean([s.unknown for s in scores]))},
            "cost": _cost(agent, tasks, cards),
            "wall_s": {**clock.to_json(), "total": round(time.perf_counter() - started_s, 3)},
            "test_images_left_out": embed.left_out,
            "images_embedded": embed.computed,
            "images_from_cache": embed.done - embed.computed,
        }
        if options.corrective is not None and comparer is not None:
            tests, refs = _embed_answered(tasks, embed, options)
            document["corrective"] = correct(agent, tests, options.corrective, comparer, refs)
        return document


def _check_size(options: EvaluateOptions, variant: Variant) -> None:
    """Check the options for the size of skills."""
    if options.max_bytes is not None and options.packing is not None:
        raise UsageError(
            f"expected --max-bytes or --packing, got both; leave --packing {options.packing} out"
        )
    if options.max_bytes is not None:
        check_small(variant)
    if options.packing is not None:
        read_packing(options.packing)
        check_small(variant, option="--packing")


def _check_answered(tasks: Sequence[Task], options: EvaluateOptions) -> None:
    without = [task.name for task in tasks if not _answered(task, options).images]
    if without:
        name, folder = ("validation", "val") if options.validate else ("test", "test")
        raise DataError(
            f"expected {name} images in every task, found none in {', '.join(without[:3])}; "
            f"add a {folder} folder, or leave train/ out and one is split off"
        )


def _answered(task: Task, options: EvaluateOptions) -> Split:
    """Return the images that are answered."""
    return task.validation if options.validate else task.test


def _cost(agent: Agent, tasks: Sequence[Task], cards: Sequence[Card]) -> dict[str, float]:
    """Return the cost of learning, in multiply-accumulates and in passes over all images."""
    learn_macs = sum(card.cost_macs for card in cards)
    images = sum(len(t.train.images) + len(t.validation.images) for t in tasks)
    passes = learn_macs / (agent.backbone.macs_per_image * images)
    return {"learn_macs": int(learn_macs), "backbone_passes": passes}


def _bias_json(card: Card) -> dict[str, Any]:
    return {} if card.biases is None else {"biases": card.biases.to_json()}


def _learn(
    agent: Agent,
    task: Task,
    embed: _Embedder,
    clock: _Clock,
    options: EvaluateOptions,
    variant: Variant,
) -> Card:
    """Learn one task; return the card of its skill."""
    before_s = time.perf_counter()
    train, train_images = embed(task, task.train)
    validation, validation_images = embed(task, task.validation)
    clock.latents += time.perf_counter() - before_s
    before_s = time.perf_counter()
    lesson = Lesson.of(
        task,
        variant,
        created="2000-01-01T00:00:00Z",  # constant, so that reruns make identical skills
        started_s=before_s,
        seed=options.seed,
        warnings=task.warnings,
        constants=options.constants,
        max_bytes=options.max_bytes,
        packing=read_packing(options.packing),
    )
    images = TaskImages(train_images, validation_images)
    teacher = agent.teacher(embed.biases)
    latents = EmbeddedTask(train, validation, images)
    skill = teacher.teach(lesson, latents, progress=embed.training(task))
    agent.bank.put(sign(skill, agent.key))
    clock.learn += time.perf_counter() - before_s
    return skill.card


def _measure(
    agent: Agent,
    tasks: Sequence[Task],
    embed: _Embedder,
    clock: _Clock,
    options: EvaluateOptions,
) -> tuple[list[TaskScore], list[Sequence[ImageRef]]]:
    """Return the scores and the readable images of each task."""
    before_s = time.perf_counter()
    tests, images = _embed_answered(tasks, embed, options)
    scores = measure(agent, {task.name: task.classes for task in tasks}, tests, images)
    clock.predict += time.perf_counter() - before_s
    return scores, list(images.values())


def _class_level(
    tasks: Sequence[Task], scores: Sequence[TaskScore], images: Sequence[Sequence[ImageRef]]
) -> dict[str, Any]:
    """Return the class level; without images, it has no mistakes with pictures."""
    answers = [score.answers for score in scores if score.answers is not None]
    seed = SeedAnswers([t.name for t in tasks], [t.classes for t in tasks], answers)
    return class_level(seed, surest_mistakes(answers, images) if images else [])


def _embed_answered(
    tasks: Sequence[Task], embed: _Embedder, options: EvaluateOptions
) -> tuple[dict[str, LabelledLatents], dict[str, list[ImageRef]]]:
    """Return the latents of the readable images to classify and the images, by task."""
    found = {t.name: embed(t, _answered(t, options), answered=True) for t in tasks}
    tests = {name: latents for name, (latents, _) in found.items()}
    return tests, {name: images for name, (_, images) in found.items()}
