"""From images that somebody asks about to answers: the first pass, the second one, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch

from teachmesh.agent.prediction import Taught, answer_all, answer_within
from teachmesh.biases.refine_decisions import refine, tasks_in_question
from teachmesh.data.loader import Progress, read_batch
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import BATCH_SIZE, embed_images
from teachmesh.model.forward_pass import Tensors
from teachmesh.model.lanes import Lanes

if TYPE_CHECKING:
    from teachmesh.agent.prediction import Prediction
    from teachmesh.agent.student import Student
    from teachmesh.biases.second_pass import SecondPass
    from teachmesh.data.image_inputs import ImageInput
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.model.backbone import Backbone

KEPT_BYTES = 64 << 20
"""Activations that are kept between the passes at one time."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Some of the images asked about, after the first pass.

    Attributes:
        names: of the images that could be read.
        decisions: about these images, refined where the skills in question have biases; None if
            there are none.
        failed: one sentence per image that could not be read.
    """

    names: tuple[str, ...]
    decisions: Decisions | None
    failed: tuple[str, ...]


def look(
    backbone: Backbone,
    student: Student,
    second: SecondPass | None,
    questions: Sequence[ImageInput],
    *,
    given: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Seen]:
    """Decide about images: all at once, or in portions where a second pass needs activations.

    Args:
        backbone: the frozen network.
        student: what the agent knows.
        second: of the same skills; None where no skill has biases.
        questions: the images.
        given: id of the skill whose task is known to be the right one.
        progress: called with (images done, images in all).

    Yields:
        Portions in the order of the questions.
    """
    if second is None or not _is_needed(second, given):
        embedded = embed_images(backbone, questions, progress=progress)
        kept = [int(i) for i in embedded.kept]
        failed = tuple(f"{questions[i].name}: {reason}" for i, reason in embedded.failed)
        decisions = student.decide(embedded.latents) if kept else None
        yield Seen(tuple(questions[i].name for i in kept), decisions, failed)
        return
    bytes_each = 4 * sum(prod(shape) for shape in second.network.kept_shapes)
    portion = max(BATCH_SIZE, KEPT_BYTES // bytes_each // BATCH_SIZE * BATCH_SIZE)
    for start in range(0, len(questions), portion):
        part = questions[start : start + portion]
        yield _portion(backbone, student, second, part, given)
        if progress is not None:
            progress(start + len(part), len(questions))


def _is_needed(second: SecondPass, given: str | None) -> bool:
    return bool(second.skill_ids) if given is None else given in second.skill_ids


def _portion(
    backbone: Backbone,
    student: Student,
    second: SecondPass,
    questions: Sequence[ImageInput],
    given: str | None,
) -> Seen:
    parts = [questions[i : i + BATCH_SIZE] for i in range(0, len(questions), BATCH_SIZE)]
    with ExitStack() as stack:
        lanes = stack.enter_context(Lanes()) if backbone.device.type == "cpu" else None
        jobs = (partial(_first_pass, backbone.size, second, part) for part in parts)
        done = list(lanes.run(jobs) if lanes else (job() for job in jobs))
    names = tuple(name for result in done for name in result.names)
    failed = tuple(reason for result in done for reason in result.failed)
    if not names:
        return Seen((), None, failed)
    passed = [result for result in done if result.latents is not None]
    latents = [result.latents for result in passed if result.latents is not None]
    decisions = student.decide(
        Latents(
            np.concatenate([part.last for part in latents]),
            np.concatenate([part.multi for part in latents]),
        )
    )
    kept = tuple(torch.cat(tensors) for tensors in zip(*(r.kept for r in passed), strict=True))

    def rows(wanted: np.ndarray) -> Tensors:
        return tuple(tensor[torch.from_numpy(wanted)] for tensor in kept)

    tasks = tasks_in_question(decisions)
    if given is not None:
        tasks = np.full(len(names), decisions.skill_ids.index(given))
    pairs = [(i, int(task)) for i, task in enumerate(tasks)]
    return Seen(names, refine(decisions, second.opinions(decisions, pairs, rows)), failed)


@dataclass(frozen=True, eq=False)
class _Passed:
    """A batch after the first pass; no latents where no image could be read."""

    names: tuple[str, ...]
    latents: Latents | None
    kept: Tensors
    failed: tuple[str, ...]


def _first_pass(size: int, second: SecondPass, questions: Sequence[ImageInput]) -> _Passed:
    batch = read_batch(questions, range(len(questions)), size)
    failed = tuple(f"{questions[i].name}: {reason}" for i, reason in batch.failed)
    if not len(batch.indices):
        return _Passed((), None, (), failed)
    latents, kept = second.first(batch.images)
    return _Passed(tuple(questions[i].name for i in batch.indices), latents, kept, failed)


def predictions(
    seen: Seen, taught: Mapping[str, Taught], given: Taught | None, alternatives: int
) -> tuple[Prediction, ...]:
    """Answers for one portion.

    Args:
        seen: of `look`.
        taught: by skill id.
        given: of the task that is known, or None.
        alternatives: how many runners-up to list.
    """
    if seen.decisions is None:
        return ()
    if given is None:
        return answer_all(seen.decisions, seen.names, taught, alternatives)
    return answer_within(seen.decisions, seen.names, given, alternatives)
