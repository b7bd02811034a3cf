"""Predictions of an agent with all skills of its bank."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.agent.agent_threads import answered_again
from teachmesh.agent.answers.prediction import Answers, Prediction
from teachmesh.agent.answers.student import FirstPass, FirstPasses, refine_with
from teachmesh.agent.answers.synced_agent import SyncedAgent
from teachmesh.agent.argument_checks import checked
from teachmesh.data.image_inputs import AskedImages, ImageInput, find_images
from teachmesh.data.loader import Progress, named_failure
from teachmesh.errors import DataError, UsageError
from teachmesh.mapping.typicality import FALSE_ALARMS, check_rate
from teachmesh.model.embedding import embed_images

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.catalogue import SkillInfo
    from teachmesh.mapping.decisions import Decisions


_log = logging.getLogger(__name__)


class AnsweringAgent(SyncedAgent):
    """An agent that receives skills and predicts with all of them.

    Several threads may use one agent. Images pass through the backbone in parallel, and each answer
    belongs to one state of the bank: before or after a skill was added.

    Args and errors are those of `Agent`.

    Examples:
        >>> import tempfile
        >>> agent = AnsweringAgent(tempfile.mkdtemp())
        >>> agent.infos()
        []
    """

    def predict(
        self,
        asked: AskedImages | Sequence[AskedImages],
        *,
        task: str | None = None,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
    ) -> list[Prediction]:
        """Predict the task and the class of images.

        Args:
            asked: a path to an image or folder, file contents, a Pillow image, an array or a
                tensor; or a list of such values. An array with four axes is a list of images.
            task: the task if it is known; then only its classes are candidates.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown, up to 0.25.

        Returns:
            One prediction per image, in the order of the images, even for a single image.

        Raises:
            DataError: an image cannot be read, or there is no skill.
            UsageError: an argument is invalid.
        """
        answers = self.predict_many(
            asked, task=task, alternatives=alternatives, false_alarms=false_alarms
        )
        if answers.failed:
            raise DataError(answers.failed[0])
        return list(answers.predictions)

    def predict_one(
        self,
        image: AskedImages,
        *,
        task: str | None = None,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
    ) -> Prediction:
        """Predict the task and the class of one image.

        Args:
            image: a path to an image, file contents, a Pillow image, an array or a tensor.
            task: the task if it is known; then only its classes are candidates.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown, up to 0.25.

        Raises:
            DataError: the value is not one image, the image cannot be read, or there is no skill.
            UsageError: an argument is invalid.
        """
        images = find_images(image)
        if len(images) != 1:
            raise DataError(f"expected one image, got {len(images):,}; use predict for several")
        found = self.predict(
            images, task=task, alternatives=alternatives, false_alarms=false_alarms
        )
        return found[0]

    @checked
    @answered_again
    def predict_many(
        self,
        asked: AskedImages | Sequence[AskedImages],
        *,
        task: str | None = None,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
        progress: Progress | None = None,
    ) -> Answers:
        """Predict the task and the class of images, and list the unreadable images.

        Args:
            asked: images as for `predict`.
            task: the task if it is known.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown, up to 0.25.
            progress: called with (images done, images in total).

        Raises:
            DataError: no image can be read, or there is no skill.
            UsageError: the rate of false alarms is not possible.
        """
        check_rate(false_alarms)
        images = find_images(asked)  # paths, bytes, pictures -> images
        skills, updates = self.sync(), self.updates  # bank -> consolidated task mapper
        given = self.skill_given(task)  # None if the task is not known
        passes = self.embed(images, given, progress)  # images -> portions of latents
        predictions: list[Prediction] = []
        for seen in passes:
            with self.unchanged(updates):  # else another thread received skills: answer again
                decisions = skills.decide(seen.latents, given)  # latents -> task, class, unknown
                decisions = self.refine(decisions, seen)  # second pass if a skill has biases
                # decisions -> names, authors, equivalent classes
                predictions += self.describe(decisions, seen, alternatives, false_alarms)
        return Answers(
            tuple(predictions),
            tuple(passes.failed),
            self.method,
            self.backbone.name,
            arithmetic=passes.arithmetic.to_json(),
        )

    @checked
    def latents(
        self, images: AskedImages | Sequence[AskedImages], *, kind: str = "multi"
    ) -> np.ndarray:
        """Return the backbone's latents of images, without using any skill.

        Args:
            images: images as for `predict`.
            kind: "multi" for multi-depth latents, which `moments` uses; "last" for those of the
                last layer, as in the paper.

        Returns:
            (n, D) float32, one row per image in the order of the images.

        Raises:
            DataError: an image cannot be read.
            UsageError: the kind is unknown.

        Examples:
            >>> import tempfile
            >>> agent = AnsweringAgent(tempfile.mkdtemp())
            >>> agent.latents(np.zeros((2, 32, 32, 3), dtype=np.uint8)).shape
            (2, 1024)
        """
        if kind not in ("multi", "last"):
            raise UsageError(f"expected latents of kind 'multi' or 'last', got {kind!r:.60}")
        found = find_images(images)
        embedded = embed_images(self.backbone, found)
        for position, reason in embedded.failed:
            raise DataError(named_failure(found[position].name, reason))
        return embedded.latents.multi if kind == "multi" else embedded.latents.last

    def skill_given(self, task: str | None) -> str | None:
        """Return the id of the usable skill for a task; None if no task is given.

        Raises:
            DataError: the task has no skill, or the skill cannot be used.
        """
        if task is None:
            return None
        return self.usable_id(self.find(task))

    def usable_id(self, info: SkillInfo) -> str:
        """Return the id of a skill that predictions use.

        Raises:
            DataError: the skill cannot be used; the message has the reason.
        """
        if info.id not in self.sync().skill_ids:
            raise DataError(f"the skill of {info.display_name!r} cannot be used: {info.reason}")
        return info.id

    def embed(
        self,
        images: Sequence[ImageInput],
        given: str | None = None,
        progress: Progress | None = None,
    ) -> FirstPasses:
        """Return the first pass over images, which runs when the result is iterated over.

        Args:
            images: images as returned by `find_images`.
            given: id of the skill whose task is given; None if no task is given.
            progress: called with (images done, images in total).
        """
        second = self.second_pass()
        biased = frozenset[str]() if second is None else second.skill_ids
        needed = bool(biased) if given is None else given in biased
        return FirstPasses(self.backbone, images, second if needed else None, progress)

    def refine(self, decisions: Decisions, seen: FirstPass) -> Decisions:
        """Run the second pass; return the decisions unchanged if no skill has biases.

        Args:
            decisions: decisions of the first pass.
            seen: the images after the first pass.
        """
        second = self._second_pass() if seen.needs_second_pass() else None
        return decisions if second is None else refine_with(second, decisions, seen)

    def describe(
        self,
        decisions: Decisions,
        seen: FirstPass,
        alternatives: int = 3,
        false_alarms: float = FALSE_ALARMS,
    ) -> list[Prediction]:
        """Return predictions with names, probabilities, authors and equivalent classes.

        Args:
            decisions: decisions about the images.
            seen: the images after the first pass.
            alternatives: number of runners-up to list.
            false_alarms: fraction of known images that may be called unknown.
        """
        return self._writer.describe(decisions, seen.names, alternatives, false_alarms)
