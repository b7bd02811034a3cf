"""The student, which decides about images with all skills of a bank.

Everything is derived from the set of skills in canonical order (sorted by id). Agents with the
same skills therefore give the same answers, regardless of the order in which skills arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from teachmesh.agent.skill_faults import (
    MACHINE_FAULTS,
    SkillFault,
    check_scores,
    finite,
    guarded,
)
from teachmesh.biases.refine_decisions import refine, tasks_in_question
from teachmesh.data.loader import Progress, named_failure, read_batch
from teachmesh.errors import DataError
from teachmesh.mapping.decisions import Decisions, PerTask
from teachmesh.mapping.fusion import log_softmax
from teachmesh.mapping.mapper import Registered, TaskMapper
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.mapping.own_mapper import make_mapper
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import BATCH_SIZE, embed_images
from teachmesh.model.forward_pass import Tensors
from teachmesh.model.lanes import Lanes
from teachmesh.model.number_type import USUAL, Arithmetic

if TYPE_CHECKING:
    from teachmesh.biases.second_pass import SecondPass
    from teachmesh.data.image_inputs import ImageInput
    from teachmesh.mapping.mapper import MapperScores
    from teachmesh.mapping.metric import Metric
    from teachmesh.mapping.moments_scan import StoreOf
    from teachmesh.mapping.typicality import HeldOut
    from teachmesh.model.backbone import Backbone
    from teachmesh.packet.skill import Skill

KEPT_SKILLS = 256
"""Number of skills that stay in memory; others are loaded when an answer needs them."""
KEPT_BYTES = 64 << 20
"""Memory for the activations that are kept between the two passes."""


class SkillFacts(Protocol):
    """Facts about a skill that are needed before it is loaded."""

    @property
    def method(self) -> str:
        """Name of the method with which the skill was learned."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def has_biases(self) -> bool:
        """Whether the skill carries beneficial biases."""


class Student:
    """The skills of one backbone, combined in one task mapper.

    Args:
        method: the task mapper: `moments`, `gmmc`, `maha` or one of another package.
        metric: metric of the backbone's latents.
        store_of: function that returns a store for derived densities; None to save none.
        ridge: ridge of `maha`, for experiments; None for the default.

    Attributes:
        unusable: reasons by id for wanted skills that the mapper cannot register.
    """

    def __init__(
        self,
        method: str,
        metric: Metric,
        store_of: StoreOf | None = None,
        ridge: float | None = None,
    ) -> None:
        self.method = method
        self._make_mapper = partial(make_mapper, method, metric, self._anchor, ridge=ridge)
        self.mapper = self._make_mapper(store_of=store_of)
        self.unusable: dict[str, str] = {}
        self._facts: dict[str, SkillFacts] = {}
        self._load: Callable[[str], Skill] | None = None
        self._skill = lru_cache(maxsize=KEPT_SKILLS)(self._loaded)

    def sync(self, wanted: Mapping[str, SkillFacts], load: Callable[[str], Skill]) -> None:
        """Register wanted skills that are new, and remove registered skills that are not wanted.

        A skill whose content fails is added to `unusable`; the others are registered.

        Args:
            wanted: the skills to keep, by id; each has an anchor for this mapper.
            load: function that returns the skill with a given id; also used after this call.

        Raises:
            StorageError: the file of a skill is damaged.
        """
        self._load = load
        for skill_id in sorted(set(self._facts) - set(wanted)):
            self.forget(skill_id)
        new = set(wanted) - set(self._facts)
        restored = set() if self._facts else self.mapper.restore(new)
        self._facts |= {skill_id: wanted[skill_id] for skill_id in restored}
        for skill_id in sorted(new - restored):
            self.register(skill_id, wanted[skill_id])
        self.mapper.save()

    def register(self, skill_id: str, facts: SkillFacts) -> bool:
        """Register one more skill; return whether it can be used, see `sync`."""
        try:
            guarded(skill_id, partial(self._add, self.mapper, skill_id))
        except SkillFault as fault:
            self.unusable[skill_id] = fault.reason
            return False
        self._facts[skill_id] = facts
        return True

    def forget(self, skill_id: str) -> None:
        """Remove one registered skill."""
        self.mapper.remove(skill_id)
        del self._facts[skill_id]

    @property
    def skill_ids(self) -> tuple[str, ...]:
        """Ids of the registered skills, in canonical order."""
        return self.mapper.keys()

    def skill(self, skill_id: str) -> Skill:
        """Return a registered skill, which is loaded unless it was used recently.

        Raises:
            StorageError: the skill's file is damaged or gone.
        """
        if skill_id not in self._facts:
            raise KeyError(skill_id)
        return self._skill(skill_id)

    def biased(self) -> dict[str, Skill]:
        """Return the skills whose beneficial biases can be used with this mapper, by id.

        The gain of a skill's biases was measured with its own classifier: class moments or a
        trained head. The biases are used only if this mapper has that kind of classifier.
        """
        return {
            skill_id: self.skill(skill_id)
            for skill_id, facts in self._facts.items()
            if facts.has_biases and (facts.method == "moments") == (self.method == "moments")
        }

    def decide(self, latents: Latents, given: str | None = None) -> Decisions:
        """Decide the task, class and typicality of images with all skills.

        Args:
            latents: latents of N images.
            given: id of the skill whose task is given; None if no task is given.

        Raises:
            DataError: the student has no skill yet.
            SkillFault: the content of a skill fails, now or when the decisions are read.
        """
        if not self._facts:
            raise DataError(
                "expected at least one skill that can be used, found none; "
                "learn one with `teachmesh learn FOLDER` or join other agents with `teachmesh up`"
            )
        own = latents.multi if self.mapper.latent == "multi" else latents.last
        scores = self._score(own)
        keys = scores.keys

        def within(task: int) -> np.ndarray:
            return finite(keys[task], lambda: self._within(keys[task], latents))

        def held_out(task: int) -> HeldOut | None:
            return guarded(keys[task], lambda: self.mapper.held_out(keys[task]))

        def familiarity(task: int) -> np.ndarray:
            return finite(keys[task], lambda: self.mapper.familiarity(keys[task], own))

        direct = None if scores.classes is None else log_softmax(np.hstack(scores.classes))
        return Decisions(
            skill_ids=keys,
            n_classes=tuple(self._facts[key].n_classes for key in keys),
            task=log_softmax(scores.task),
            within=PerTask(within, len(keys)),
            familiarity=PerTask(familiarity, len(keys)),
            held_out=PerTask(held_out, len(keys)),
            direct=direct,
            comparable=self.method != "gmmc",
            given=None if given is None else keys.index(given),
        )

    def _score(self, own: np.ndarray) -> MapperScores:
        """Score (N, D) latents for all tasks; raise a `SkillFault` if one of them cannot score."""
        try:
            scores = self.mapper.score(own)
        except MACHINE_FAULTS:
            raise
        except Exception:
            for key in self.skill_ids:  # find the skill that fails alone
                alone = self._make_mapper()
                guarded(key, partial(self._add, alone, key))
                guarded(key, partial(alone.score, own))
            raise
        check_scores(scores.keys, scores.task)
        return scores

    def _loaded(self, skill_id: str) -> Skill:
        assert self._load is not None
        return self._load(skill_id)

    def _add(self, mapper: TaskMapper[Any], skill_id: str) -> None:
        mapper.add(skill_id, *self._anchor(skill_id))

    def _anchor(self, skill_id: str) -> Registered[Any]:
        """Return what the mapper keeps of a skill."""
        skill = self._skill(skill_id)
        anchor = skill.anchor(self.method)
        if anchor is None:
            raise DataError(f"the skill {skill_id[:12]} carries no {self.method} anchor")
        return anchor, skill.held_out(self.method)

    def _within(self, key: str, latents: Latents) -> np.ndarray:
        """Return (N, C) log posteriors of the classes of one task, by its skill alone."""
        if isinstance(self.mapper, MomentsMapper):
            return self.mapper.within(key, latents.multi)
        head = self.skill(key).head()
        if head is None:
            raise DataError(f"the skill {key[:12]} has no head, which {self.method} needs")
        return log_softmax(head.logits(latents.last))


@dataclass(frozen=True, eq=False)
class FirstPass:
    """Images after the first pass through the backbone.

    Attributes:
        names: names of the N readable images, N at least 1.
        latents: latents of the images, computed without biases.
        kept: input of a second pass, activations with N rows; empty if none is needed, and
            cleared when the next portion is requested.
        biased: whether a second pass may follow, so that `kept` must not be cleared before it.
    """

    names: tuple[str, ...]
    latents: Latents
    kept: list[torch.Tensor] = field(default_factory=list)
    biased: bool = False

    def needs_second_pass(self) -> bool:
        """Return whether activations are kept for a second pass.

        Raises:
            ValueError: the activations were freed, because a later portion was requested.
        """
        if self.biased and not self.kept:
            raise ValueError("expected to refine a portion before the next one is requested")
        return self.biased

    def kept_rows(self, rows: np.ndarray) -> Tensors:
        """Return the kept activations of some images.

        Args:
            rows: positions of the n images, as an (n,) array.
        """
        return tuple(tensor[torch.from_numpy(rows)] for tensor in self.kept)


@dataclass
class FirstPasses:
    """Run the first pass over images, in portions if activations are kept for a second pass.

    Attributes:
        backbone: the frozen network.
        images: the images to classify.
        second: second pass for which activations are kept; None if no image needs a second pass.
        progress: called with (images done, images in total).
        failed: one sentence per unreadable image so far.
    """

    backbone: Backbone
    images: Sequence[ImageInput]
    second: SecondPass | None = None
    progress: Progress | None = None
    failed: list[str] = field(default_factory=list)

    @property
    def arithmetic(self) -> Arithmetic:
        """Engine and number type: torch and float32 if activations are kept for biases."""
        return self.backbone.arithmetic if self.second is None else USUAL

    def __iter__(self) -> Iterator[FirstPass]:
        """Yield portions with at least one readable image, in the order of the images.

        Raises:
            DataError: no image can be read.
        """
        self.failed.clear()
        portions = self._whole() if self.second is None else self._in_portions(self.second)
        any_readable = False
        for portion in portions:
            any_readable = True
            yield portion
            portion.kept.clear()  # frees memory for the next portion
        if not any_readable:
            raise DataError(self.failed[0])

    def _whole(self) -> Iterator[FirstPass]:
        embedded = embed_images(self.backbone, self.images, progress=self.progress, hashed=False)
        self.failed += [named_failure(self.images[i].name, why) for i, why in embedded.failed]
        if len(embedded.kept):
            yield FirstPass(tuple(self.images[i].name for i in embedded.kept), embedded.latents)

    def _in_portions(self, second: SecondPass) -> Iterator[FirstPass]:
        bytes_each = 4 * sum(prod(shape) for shape in second.network.kept_shapes)
        size = max(BATCH_SIZE, KEPT_BYTES // bytes_each // BATCH_SIZE * BATCH_SIZE)
        for start in range(0, len(self.images), size):
            stop = min(start + size, len(self.images))
            if portion := self._portion(second, range(start, stop)):
                yield portion
            if self.progress is not None:
                self.progress(stop, len(self.images))

    def _portion(self, second: SecondPass, positions: range) -> FirstPass | None:
        """Run the batches of one portion; return None if no image can be read."""
        jobs = (
            partial(self._batch, second, positions[i : i + BATCH_SIZE])
            for i in range(0, len(positions), BATCH_SIZE)
        )
        with Lanes.over(self.backbone.device) as lanes:
            done = list(lanes.run(jobs))
        self.failed += [reason for _, failed in done for reason in failed]
        passed = [batch for batch, _ in done if batch is not None]
        return _joined(passed) if passed else None

    def _batch(self, second: SecondPass, positions: range) -> tuple[FirstPass | None, list[str]]:
        """Return one batch after the first pass, and one sentence per unreadable image."""
        batch = read_batch(self.images, positions, self.backbone.size)
        failed = [named_failure(self.images[i].name, why) for i, why in batch.failed]
        if not len(batch.indices):
            return None, failed
        latents, kept = second.first(batch.images)
        names = tuple(self.images[i].name for i in batch.indices)
        return FirstPass(names, latents, list(kept), biased=True), failed


def refine_with(second: SecondPass, decisions: Decisions, seen: FirstPass) -> Decisions:
    """Run the second pass for the images whose task has a skill with biases.

    Args:
        second: second pass with the biases of the skills.
        decisions: decisions of the first pass.
        seen: images after the first pass, with kept activations.
    """
    tasks = tasks_in_question(decisions)
    if decisions.given is not None:
        tasks = np.full(len(seen.names), decisions.given)
    pairs = [(i, int(task)) for i, task in enumerate(tasks)]
    return refine(decisions, second.opinions(decisions, pairs, seen.kept_rows))


def _joined(parts: Sequence[FirstPass]) -> FirstPass:
    return FirstPass(
        tuple(name for part in parts for name in part.names),
        Latents(
            np.concatenate([part.latents.last for part in parts]),
            np.concatenate([part.latents.multi for part in parts]),
        ),
        [torch.cat(tensors) for tensors in zip(*(part.kept for part in parts), strict=True)],
        biased=True,
    )
