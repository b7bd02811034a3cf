"""What an agent answers when it is shown images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Alternative:
    """A class that the image could show as well.

    Attributes:
        task: display name of the task.
        class_name: name of the class.
        probability: fraction of 1.
    """

    task: str
    class_name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What an image shows, and who taught it.

    Attributes:
        image: the file, or what stands for it.
        task: display name of the task (`flowers`, or `flowers@alias` where two authors use one).
        class_name: name of the class.
        probability: posterior of this class over all classes in question, fraction of 1.
        unknown: the image is farther from its task than nearly all of that task's own
            validation images; `task` and `class_name` then say what is nearest.
        skill_id: the skill that answers.
        author: agent id of its author.
        alias: the author's alias.
        alternatives: the next best classes, best first.
        same_as: classes of other tasks that are the same thing; their probability is the
            similarity of the names.
    """

    image: str
    task: str
    class_name: str
    probability: float
    unknown: bool
    skill_id: str
    author: str
    alias: str
    alternatives: tuple[Alternative, ...] = ()
    same_as: tuple[Alternative, ...] = ()

    def __str__(self) -> str:
        doubt = "unknown, nearest: " if self.unknown else ""
        return (
            f"{doubt}{self.task} / {self.class_name} {100 * self.probability:.1f} % "
            f"(taught by {self.alias})"
        )

    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object; the class stands under "class"."""
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


@dataclass(frozen=True)
class Answers:
    """Predictions for many images.

    Attributes:
        predictions: one per readable image, in the order asked.
        failed: one sentence per image that could not be read.
        method: the task mapper that answered.
        backbone: alias of the backbone that answered.
        encoder: how class names were compared for `same_as`: an encoder's name, or "names".
    """

    predictions: tuple[Prediction, ...]
    failed: tuple[str, ...]
    method: str
    backbone: str
    encoder: str = "names"

    def to_json(self) -> dict[str, Any]:
        """The document of `teachmesh predict --json`."""
        return {
            "schema": "teachmesh.predict/1",
            "method": self.method,
            "backbone": self.backbone,
            "encoder": self.encoder,
            "predictions": [p.to_json() for p in self.predictions],
            "skipped": list(self.failed),
        }
