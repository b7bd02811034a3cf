"""Predictions about images, as Python objects and as JSON documents.

Nothing here imports numpy, so that a command that uses a running agent starts fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from teachmesh.trust.policy import known_as


@dataclass(frozen=True)
class Alternative:
    """A runner-up among the classes, or a class equivalent to the predicted one.

    Attributes:
        task: display name of the task.
        class_name: name of the class.
        probability: probability of a runner-up, or name similarity of an equivalent class.
    """

    task: str
    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """Predicted class of an image, with the author of the skill that decided.

    Attributes:
        image: path of the file, or a name such as "image 2".
        task: display name of the task (`flowers`, or `flowers@alias` if two authors use the name).
        class_name: name of the class.
        probability: posterior of this class over all candidate classes, from 0 to 1.
        probability_together: posterior of this class and of those in `same_as` together. None if
            the task was given, or if `same_as` was found after the answer.
        unknown: True if the image resembles `task` less than nearly all images that were held out
            in learning. `task` and `class_name` then name the nearest match. None if the task had
            too few images for the rate of false alarms.
        unknown_reason: why `unknown` is None, in one sentence; empty otherwise.
        familiarity: score that `unknown` is decided by, higher for images that resemble `task`
            more; 0 is typical with the default mapper, which makes scores of tasks comparable.
        skill_id: id of the skill that decided.
        author: agent id of the skill's author.
        alias: the author's alias.
        alternatives: the next-best classes, best first.
        same_as: equivalent classes of other tasks, with the similarity of their names as
            probability.
    """

    image: str
    task: str
    class_name: str
    probability: float
    unknown: bool | None
    skill_id: str
    author: str
    alias: str
    alternatives: tuple[Alternative, ...] = ()
    same_as: tuple[Alternative, ...] = ()
    unknown_reason: str = ""
    familiarity: float = 0.0
    probability_together: float | None = None

    def __str__(self) -> str:
        doubt = "unknown, nearest: " if self.unknown else ""
        return (
            f"{doubt}{self.task} / {self.class_name} {100 * self.probability:.1f} % "
            f"(taught by {known_as(self.alias, self.author)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `teachmesh predict --json` prints for this image.

        The class has the key "class", and the id of the skill has the key "skill".
        """
        document = asdict(self)
        document["class"] = document.pop("class_name")
        document["skill"] = document.pop("skill_id")
        document["alternatives"] = [
            {"task": a.task, "class": a.class_name, "probability": a.probability}
            for a in self.alternatives
        ]
        document["same_as"] = [
            {"task": s.task, "class": s.class_name, "similarity": s.probability}
            for s in self.same_as
        ]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Prediction:
        """Return the prediction that `to_dict` made a document of."""
        values = dict(document)
        values["class_name"] = values.pop("class")
        values["skill_id"] = values.pop("skill")
        for key, number in (("alternatives", "probability"), ("same_as", "similarity")):
            values[key] = tuple(
                Alternative(other["task"], other["class"], other[number]) for other in values[key]
            )
        return cls(**values)


@dataclass(frozen=True)
class Answers:
    """Predictions for many images.

    Attributes:
        predictions: one prediction per readable image, in the order of the images.
        failed: one sentence per unreadable image.
        method: name of the task mapper.
        backbone: alias of the backbone.
        encoder: text encoder that compared names for `same_as`; "names" if none is used.
        arithmetic: engine and number type of the latents; empty for torch and float32.
    """

    predictions: tuple[Prediction, ...]
    failed: tuple[str, ...]
    method: str
    backbone: str
    encoder: str = "names"
    arithmetic: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh predict --json` prints."""
        return {
            "schema": "teachmesh.predict/1",
            "method": self.method,
            "backbone": self.backbone,
            "encoder": self.encoder,
            **self.arithmetic,
            "predictions": [p.to_dict() for p in self.predictions],
            "skipped": list(self.failed),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Answers:
        """Return the answers that `to_json` made a document of."""
        return cls(
            predictions=tuple(map(Prediction.from_dict, document["predictions"])),
            failed=tuple(document["skipped"]),
            method=document["method"],
            backbone=document["backbone"],
            encoder=document["encoder"],
            arithmetic={key: document[key] for key in ("engine", "dtype") if key in document},
        )
