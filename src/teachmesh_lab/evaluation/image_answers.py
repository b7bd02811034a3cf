"""Answers of a method to each test image of a task, packed for JSON files.

Statistics over images need them: sampling errors, accuracy per class, calibration, mistakes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from teachmesh.data.images import ImageRef
    from teachmesh.data.tasks import Task
    from teachmesh.mapping.accuracies import Choices

MISTAKES = 18
"""Number of mistakes on a page."""
_SIDE = 64
"""Longer side of a small picture in pixels."""

RIGHT = ("oracle", "mapper", "accuracy")
"""Questions that each image answers with right or wrong (see `ImageAnswers.right`)."""


@dataclass(frozen=True, eq=False)
class ImageAnswers:
    """Answers to the N test images of one task, after all tasks were learned.

    Attributes:
        labels: (N,) int64 true classes.
        oracle: (N,) bool, whether the class is right if the task is given.
        tasks: (N,) int64 positions of the answered tasks; None if the method needs the task.
        classes: (N,) int64 answered classes within these tasks; None if `tasks` is None.
        probability: (N,) float32 probability of the answer; None if the method has none.
    """

    labels: np.ndarray
    oracle: np.ndarray
    tasks: np.ndarray | None = None
    classes: np.ndarray | None = None
    probability: np.ndarray | None = None

    @classmethod
    def of(cls, answers: Choices, labels: np.ndarray, rows: slice = slice(None)) -> ImageAnswers:
        """Return the answers of a task mapper to the images of one task.

        Args:
            answers: answers to N or more images; their tasks count in the order of the stream.
            labels: (N,) true classes.
            rows: rows of the task's images in the answers; all by default.
        """
        return cls(
            labels,
            answers.oracle[rows] == labels,
            answers.mapped[rows],
            answers.final[rows],
            answers.probability[rows].astype(np.float32),
        )

    def right(self, measure: str, position: int) -> np.ndarray | None:
        """Return (N,) bool, whether each answer is right; None if it was not measured.

        Args:
            measure: "oracle" (class, task given), "mapper" (task) or "accuracy" (both).
            position: position of the images' task in the stream.
        """
        if measure == "oracle":
            return self.oracle
        if self.tasks is None or self.classes is None:
            return None
        right_task = self.tasks == position
        if measure == "mapper":
            return np.asarray(right_task)
        return np.asarray(right_task & (self.classes == self.labels))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` can read: base64 of little-endian arrays."""
        return {
            "labels": _text(self.labels, "<u2"),
            "oracle": _text(np.packbits(self.oracle), "u1"),
            "tasks": _text(self.tasks, "<u2"),
            "classes": _text(self.classes, "<u2"),
            "probability": _text(self.probability, "<f4"),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ImageAnswers:
        """Make answers from the values that `to_json` returned."""
        labels = _array(values["labels"], "<u2")
        bits = _array(values["oracle"], "u1")
        assert labels is not None
        assert bits is not None
        return cls(
            labels.astype(np.int64),
            np.unpackbits(bits.astype(np.uint8), count=len(labels)).astype(bool),
            _array(values["tasks"], "<u2"),
            _array(values["classes"], "<u2"),
            _array(values["probability"], "<f4"),
        )


def describe_tests(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return the class names of each task, and a hash of its test images' labels and sizes.

    Two seeds with equal hashes are measured on the same images. No image is read.
    """
    return [{"classes": list(task.classes), "images": _digest(task)} for task in tasks]


def surest_mistakes(
    answers: Sequence[ImageAnswers], images: Sequence[Sequence[ImageRef]]
) -> list[dict[str, Any]]:
    """Return the wrong answers with the highest probabilities, the surest first.

    Args:
        answers: answers to the test images of each task, in the order of the stream.
        images: the test images, one per answer.

    Returns:
        {"task", "row", "picture"} of each mistake; empty without probabilities. The task is a
        position in the stream. The picture is the base64 of a JPEG file.

    Raises:
        DataError: an image can no longer be read.
    """
    found: list[tuple[float, int, int]] = []
    for task, own in enumerate(answers):
        right = own.right("accuracy", task)
        if right is not None and own.probability is not None:
            wrong = np.flatnonzero(~right)
            found += [(-float(own.probability[row]), task, int(row)) for row in wrong]
    return [
        {"task": task, "row": row, "picture": _small_picture(images[task][row])}
        for _, task, row in sorted(found)[:MISTAKES]
    ]


def _digest(task: Task) -> str:
    sizes = [
        ref.path.stat().st_size if ref.size_bytes is None else ref.size_bytes
        for ref in task.test.images
    ]
    digest = hashlib.sha256(f"{task.name}\0{task.classes!r}".encode())
    digest.update(np.asarray(sizes, dtype="<i8").tobytes())
    digest.update(task.test.labels.astype("<i8").tobytes())
    return digest.hexdigest()[:12]


def _text(array: np.ndarray | None, kind: str) -> str | None:
    return None if array is None else base64.b64encode(array.astype(kind).tobytes()).decode()


def _array(text: str | None, kind: str) -> np.ndarray | None:
    if text is None:
        return None
    array = np.frombuffer(base64.b64decode(text), dtype=kind)
    return array.astype(np.float32 if kind == "<f4" else np.int64)


def _small_picture(image: ImageRef) -> str:
    """Return the base64 of a JPEG file that shows an image."""
    from PIL import Image

    pixels = image.upright(_SIDE)
    shown = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).convert("RGB")
    shown.thumbnail((_SIDE, _SIDE))
    stream = BytesIO()
    shown.save(stream, format="JPEG", quality=80)
    return base64.b64encode(stream.getvalue()).decode()
