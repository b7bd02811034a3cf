"""The teacher: cards of skills with and without statistics, from a tiny backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.fit_method import fit_method
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.learning.variants import find_variant
from teachmesh.model.embedding import LabelledLatents
from tests.model.nets import pictures, tiny_backbone

BACKBONE = tiny_backbone()
TEACHER = Teacher(BACKBONE, Author("a" * 64, "ann"))


@dataclass(frozen=True)
class Animals:
    """The name and the classes of a task."""

    name: str = "animals"
    classes: tuple[str, ...] = ("cat", "dog")


def lesson(variant: str, also: tuple[str, ...] = ()) -> Lesson:
    """Return a lesson about two classes."""
    return Lesson.of(Animals(), find_variant(variant), created="2026-11-30T11:00:00Z", also=also)


def embedded() -> EmbeddedTask:
    """Return 16 training and 8 validation images after the backbone pass."""
    parts = []
    drawn = pictures(24)
    for part in (drawn[:16], drawn[16:]):
        labels = np.arange(len(part)) % 2
        parts.append(LabelledLatents(BACKBONE.embed(part), labels))
    return EmbeddedTask(*parts)


def test_only_class_moments_alone_grow_from_statistics() -> None:
    """Other anchors and biases need images."""
    assert lesson("moments").grows
    assert lesson("moments", ("moments",)).grows
    assert not lesson("moments", ("maha",)).grows
    assert not lesson("moments+bb").grows
    assert not lesson("maha").grows


@pytest.mark.parametrize("method", ["moments", "maha"])
def test_the_card_has_accuracy_and_cost_of_the_fit(method: str) -> None:
    """The cost includes one backbone pass per image; a card without biases says nothing of them."""
    task = embedded()
    skill, statistics = TEACHER.learn(lesson(method), task)
    assert (statistics is not None) == (method == "moments")
    fitted = fit_method(method, task.train, task.validation, 2, BACKBONE.reference.metric,
                        last_variance=BACKBONE.last_variance)  # fmt: skip
    card = skill.card
    assert card.biases is None
    assert card.validation_accuracy == fitted.validation_accuracy
    assert card.cost_macs == fitted.cost_macs + 24 * BACKBONE.macs_per_image
    assert (card.images_per_class, card.validation_images) == ((8, 8), 8)
    assert (card.task, card.author, card.alias) == ("animals", "a" * 64, "ann")
    for name, tensor in fitted.tensors().items():
        np.testing.assert_allclose(skill.tensors[name], tensor, rtol=1e-5, atol=1e-6)


def test_biases_cannot_be_learned_from_latents() -> None:
    """They are trained on images."""
    with pytest.raises(ValueError, match="expected the task's images"):
        TEACHER.teach(lesson("moments+bb"), embedded())
