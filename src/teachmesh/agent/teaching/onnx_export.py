"""Write a skill or a whole agent as an ONNX file that answers without teachmesh and torch.

The file is compared with the agent before it is written, so that no file exists whose answers
differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from teachmesh.agent.answers.student import FirstPasses, Student, refine_with
from teachmesh.agent.teaching.agent_network import OUTPUTS, AgentNetwork
from teachmesh.agent.teaching.network_export import backbone_of, network_of
from teachmesh.bank.output_file import check_output, write_file
from teachmesh.biases.second_pass import SecondPass
from teachmesh.data.image_inputs import find_images
from teachmesh.data.loader import iterate_batches, named_failure
from teachmesh.data.names import shown
from teachmesh.data.procedural_images import procedural_images
from teachmesh.errors import BackboneError, DataError, UsageError
from teachmesh.mapping.typicality import FALSE_ALARMS, check_rate
from teachmesh.model.backbone_cards import licence_of
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.onnx_file import PIXELS, onnx_file, run_onnx
from teachmesh.model.task_network import TaskAnswers
from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.agent.teaching.learning_agent import LearningAgent
    from teachmesh.data.image_inputs import AskedImages
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.model.backbone import Backbone

SCHEMA = "teachmesh.onnx/1"
TOLERANCE = 1e-4
"""Largest difference between the probabilities of the file and of the agent."""
CHECKED_IMAGES = 32
"""Number of synthetic images that a file is checked with, if no others are given."""

_OUTPUT_TEXTS = {
    "task": "index of the task in `tasks`",
    "class": "index of the class in `classes` of the task",
    "probability": "probability of the class",
    "unknown": "1 unknown, 0 known, -1 too few images to decide",
    "familiarity": "score that `unknown` is decided by, higher for images that resemble the task",
    "probabilities": "probabilities of all classes, task by task",
}


@dataclass(frozen=True)
class ExportedOnnx:
    """An ONNX file that was written, and its comparison with the agent.

    Attributes:
        path: path of the file.
        size_bytes: size of the file in bytes.
        tasks: display names of the tasks in the file.
        images: number of images that were compared.
        largest_difference: largest difference of a probability from the agent's.
        skipped: one sentence per image that could not be read, so that it was not compared.
    """

    path: Path
    size_bytes: int
    tasks: tuple[str, ...]
    images: int
    largest_difference: float
    skipped: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the document that the commands print with --json."""
        return {
            "schema": "teachmesh.exported-onnx/1",
            "file": str(self.path),
            "size_bytes": self.size_bytes,
            "tasks": sorted(self.tasks),
            "images_compared": self.images,
            "largest_difference": self.largest_difference,
            "skipped": list(self.skipped),
        }


def export_skill_onnx(
    agent: LearningAgent,
    selector: str,
    path: Path,
    images: AskedImages | Sequence[AskedImages] | None = None,
) -> ExportedOnnx:
    """Write the classifier of one skill's task; its answers are those of `predict --task`.

    Args:
        agent: owner of the bank.
        selector: task name, `task@alias` or the first characters of an id.
        path: file to write.
        images: images to compare with; synthetic ones if None.

    Raises:
        DataError: the skill does not exist, its backbone is not installed, or no image is readable.
        UsageError: the skill uses Head2Toe, whose features come from many layers.
        BackboneError: torch cannot export the backbone, or the answers differ.
        MissingExtraError: the packages of the extra `onnx` are not installed.
        StorageError: the file cannot be written.
    """
    check_output(path)
    info = agent.find(selector)
    skill = agent.bank.load(info.id).skill
    backbone = backbone_of(agent, skill)
    pixels, skipped = _pixels(images, backbone.size)
    network = TaskAnswers(network_of(backbone, skill, compact=True))
    task = _task(info.display_name, skill.card.classes, info.author, info.alias, info.id)
    about = _about(agent, backbone, "skill", [task], network.outputs)
    data = onnx_file(network, backbone.size, network.outputs, about)
    student = Student(skill.card.method, backbone.reference.metric)
    entries = {entry.id: entry for entry in agent.bank.entries()}
    student.sync({info.id: entries[info.id]}, lambda _: skill)
    decided = list(decisions_of(backbone, student, pixels, info.id))
    expected = np.concatenate([np.exp(d.within[0]) for d in decided])
    found = run_onnx(data, pixels)["probabilities"]
    difference = np.abs(found - expected).max()
    written = write_checked(path, data, [info.display_name], len(pixels), difference)
    return replace(written, skipped=skipped)


def export_agent_onnx(
    agent: LearningAgent,
    path: Path,
    images: AskedImages | Sequence[AskedImages] | None = None,
    false_alarms: float = FALSE_ALARMS,
) -> ExportedOnnx:
    """Write all skills that answers use; the answers of the file are those of `predict`.

    Args:
        agent: the agent.
        path: file to write.
        images: images to compare with; synthetic ones if None.
        false_alarms: fraction of known images that may be called unknown.

    Raises:
        DataError: there is no skill that can be used, or no image can be read.
        UsageError: the mapper is of another package, two skills are copies, biases cannot be
            written, or the rate of false alarms is impossible.
        BackboneError: torch cannot export the backbone, or the answers differ.
        MissingExtraError: the packages of the extra `onnx` are not installed.
        StorageError: the file cannot be written.
    """
    check_rate(false_alarms)
    check_output(path)
    backbone = load_backbone(agent.home.backbones, agent.backbone_name, torch.device("cpu"))
    pixels, skipped = _pixels(images, backbone.size)
    with agent.lock:
        student = agent.sync()
        decided = list(decisions_of(backbone, student, pixels))  # raises if there is no skill
        check_copies(student)
        known = {source.skill_id: source for source in agent.sources()}
        sources = [known[key] for key in student.skill_ids]
        network = AgentNetwork(backbone, student, second_of(backbone, student), false_alarms)
    with torch.no_grad():  # errors of the network itself are clearer than those of its export
        network(torch.from_numpy(pixels[:2]))
    tasks = [_task(s.task, s.classes, s.author, s.alias, s.skill_id) for s in sources]
    about = _about(agent, backbone, "agent", tasks, OUTPUTS)
    about |= {"mapper": student.method, "unknown": _promise(false_alarms)}
    data = onnx_file(network, backbone.size, OUTPUTS, about)
    difference = agent_difference(run_onnx(data, pixels), decided)
    written = write_checked(path, data, [s.task for s in sources], len(pixels), difference)
    return replace(written, skipped=skipped)


def second_of(backbone: Backbone, student: Student) -> SecondPass | None:
    """Return the second pass for the skills of a student; None if none has biases."""
    biased = student.biased()
    return SecondPass(backbone, biased) if biased else None


def agent_difference(found: dict[str, np.ndarray], decided: Sequence[Decisions]) -> float:
    """Return the largest difference between the outputs of a file and an agent's decisions.

    The familiarity counts too, relative to its size if that is above 1.

    Args:
        found: outputs of the file.
        decided: decisions of the agent about the same images, in portions.
    """
    joint = np.concatenate([np.exp(d.joint()) for d in decided])
    own = np.concatenate(
        [[d.familiarity[int(t)][i] for i, t in enumerate(d.mapped())] for d in decided]
    )
    apart = np.abs(found["familiarity"] - own) / np.maximum(1, np.abs(own))
    return float(max(np.abs(found["probabilities"] - joint).max(), apart.max()))


def decisions_of(
    backbone: Backbone, student: Student, pixels: np.ndarray, given: str | None = None
) -> Iterator[Decisions]:
    """Yield an agent's decisions about (N, 3, S, S) uint8 images, in portions."""
    second = second_of(backbone, student)
    images = find_images([image.transpose(1, 2, 0) for image in pixels])
    for seen in FirstPasses(backbone, images, second):
        decisions = student.decide(seen.latents, given)
        yield decisions if second is None else refine_with(second, decisions, seen)


def _pixels(
    images: AskedImages | Sequence[AskedImages] | None, size: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return (N, 3, S, S) uint8 images to compare with, and a sentence for each unreadable one.

    Raises:
        DataError: no image can be read.
    """
    if images is None:
        return procedural_images(CHECKED_IMAGES, size), ()
    found = find_images(images)
    batches = list(iterate_batches(found, size))
    failed = tuple(named_failure(found[i].name, why) for b in batches for i, why in b.failed)
    if len(failed) == len(found):
        raise DataError(failed[0])
    return np.concatenate([np.ascontiguousarray(b.images.numpy()) for b in batches]), failed


def check_copies(student: Student) -> None:
    """Refuse copies: an agent breaks their ties by a hash, which a graph cannot compute.

    Raises:
        UsageError: two skills have the same anchors.
    """
    seen: dict[tuple[bytes, ...], str] = {}
    for key in student.skill_ids:
        tensors = student.mapper.anchor(key).tensors()
        content = tuple(tensors[name].tobytes() for name in sorted(tensors))
        if content in seen:
            raise UsageError(
                f"expected skills that all differ, got the copies {seen[content][:12]} and "
                f"{key[:12]}; remove one of them with teachmesh skills remove"
            )
        seen[content] = key


def _task(
    name: str, classes: Sequence[str], author: str, alias: str, skill_id: str
) -> dict[str, Any]:
    return {
        "task": name,
        "classes": list(classes),
        "author": author,
        "alias": alias,
        "skill": skill_id,
    }


def _about(
    agent: LearningAgent,
    backbone: Backbone,
    kind: str,
    tasks: list[dict[str, Any]],
    outputs: Sequence[str],
) -> dict[str, Any]:
    """Return the description that is stored in the file."""
    preprocessing = backbone.preprocessing
    return {
        "schema": SCHEMA,
        "kind": kind,
        "made_by": f"teachmesh {__version__}",
        "input": {
            "name": PIXELS,
            "shape": ["images", 3, backbone.size, backbone.size],
            "type": "uint8, RGB, 0 to 255",
            "size_px": backbone.size,
            "resize": "bicubic with antialiasing, to a square, without keeping the aspect ratio",
            "crop": "none",
            "before": "EXIF rotation applied, transparent parts on white",
        },
        "normalisation": {
            "where": "inside the graph, on values from 0 to 1",
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
        },
        "outputs": {name: _OUTPUT_TEXTS[name] for name in outputs},
        "tasks": tasks,
        "backbone": {
            "name": backbone.name,
            "architecture": backbone.architecture,
            "fingerprint": backbone.fingerprint,
            "licence": licence_of(agent.home.backbones, backbone.name),
        },
    }


def _promise(false_alarms: float) -> dict[str, Any]:
    return {
        "false_alarms": false_alarms,
        "promise": f"on average, at most {100 * false_alarms:g} % of the images of a task that was "
        "mapped correctly are called unknown, if they are exchangeable with its held-out images",
    }


def write_checked(
    path: Path, data: bytes, tasks: Sequence[str], images: int, difference: float
) -> ExportedOnnx:
    """Write the file if it gives the agent's answers.

    Args:
        path: file to write.
        data: its content.
        tasks: display names of the tasks in it.
        images: number of images that were compared.
        difference: largest difference from the agent's answers.

    Raises:
        BackboneError: the difference is above `TOLERANCE`, or not a number.
        StorageError: the file cannot be written.
    """
    if not difference <= TOLERANCE:
        raise BackboneError(
            f"expected probabilities within {TOLERANCE:g} of the agent's, got a difference of "
            f"{difference:.2g} in onnxruntime, so '{shown(str(path))}' was not written; use "
            "another backbone, or another version of onnxruntime"
        )
    write_file(path, data)
    return ExportedOnnx(path, len(data), tuple(tasks), images, float(difference))
