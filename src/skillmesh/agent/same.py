"""Answers that name the same thing as a class of another task: "same as bicycle in task X"."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from skillmesh.agent.knowledge import Knowledge
from skillmesh.agent.prediction import Alternative, Prediction
from skillmesh.reuse.matching import CONTRAST, NAME_ALONE, KnownTask
from skillmesh.reuse.visual import compare


def with_same(predictions: Sequence[Prediction], knowledge: Knowledge) -> tuple[Prediction, ...]:
    """The predictions, each with the classes of other tasks that are the same thing.

    Names propose; where both skills have class means, looks have to agree.

    Args:
        predictions: of an agent.
        knowledge: of the same agent.
    """
    known = {task.skill_id: task for task in knowledge.known()}
    found: dict[tuple[str, str], tuple[Alternative, ...]] = {}
    for prediction in predictions:
        key = prediction.skill_id, prediction.class_name
        if key not in found and prediction.skill_id in known:
            found[key] = _same(known[prediction.skill_id], prediction, known, knowledge)
    return tuple(
        dataclasses.replace(p, same_as=found.get((p.skill_id, p.class_name), ()))
        for p in predictions
    )


def _same(
    task: KnownTask, prediction: Prediction, known: dict[str, KnownTask], knowledge: Knowledge
) -> tuple[Alternative, ...]:
    label = task.classes.index(prediction.class_name)
    same = []
    for other in known.values():
        if other is task:
            continue
        names = knowledge.comparer.similarity([task.labels[label]], other.labels)[0]
        best = int(names.argmax())
        if names[best] >= NAME_ALONE and _look_alike(task, other, knowledge):
            same.append(Alternative(other.task, other.classes[best], float(names[best])))
    return tuple(sorted(same, key=lambda s: (-s.probability, s.task)))


def _look_alike(one: KnownTask, other: KnownTask, knowledge: Knowledge) -> bool:
    """Whether the classes of like names look alike; without means nothing speaks against it."""
    transform = knowledge.transform()
    if one.means is None or other.means is None or transform is None:
        return True
    names = knowledge.comparer.similarity(one.labels, other.labels)
    contrast = compare(one.means, other.means, transform).contrast[names >= NAME_ALONE]
    return bool(np.mean(contrast) >= CONTRAST)
