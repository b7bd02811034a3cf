"""What rounding biases costs: float32, float16 and int8, on validation images.

    python -m ...studies.biases_bytes --tasks DIR --home HOME --backbone ALIAS --names trash,cifar10

Biases come from `--bb auto` with `moments`, through the home's cache. Prints one row per task and
encoding: bytes, log loss and right answers with the trained head (in float32), and the share of
images whose answer is another one than with float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from teachmesh.agent import Agent
from teachmesh.biases.bias_choice import Trained, accuracy
from teachmesh.biases.bias_encoding import Kind, encode_biases
from teachmesh.biases.bias_head import TapLatents
from teachmesh.biases.bias_layout import biasable_layers, choose_layers
from teachmesh.biases.bias_plan import BiasPlan
from teachmesh.biases.bias_task import BiasTask, TaskImages, decode_rows
from teachmesh.biases.biased_network import BeneficialBiases
from teachmesh.data.tasks import find_tasks, read_task
from teachmesh.learning.embedded_task import EmbeddedTask
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.learning.variants import find_variant
from teachmesh.mapping.fusion import log_softmax
from teachmesh.model.embedding import labelled
from teachmesh_lab.evaluation.bias_store import StoredBiases
from teachmesh_lab.evaluation.latent_cache import LatentCache, embed_cached

KINDS: tuple[Kind, ...] = ("fp32", "fp16", "int8")
BATCH_SIZE = 16


class _Remembering(StoredBiases):
    """Keeps what was trained last, before it is rounded for the skill."""

    last: Trained

    def fetch(
        self, task: BiasTask, plan: BiasPlan, head2toe: bool, train: Callable[[], Trained]
    ) -> Trained:
        self.last = super().fetch(task, plan, head2toe, train)
        return self.last


def rows(path: Path, home: Path, backbone: str) -> list[str]:
    """Rows of the table for one task."""
    agent = Agent(home, backbone=backbone)
    task = read_task(path, seed=0)
    splits = [task.train, task.validation]
    latents = LatentCache(agent.home.cache / "latents")
    embedded = [embed_cached(agent.backbone, s.images, latents) for s in splits]
    train, validation = (
        labelled(split, found) for split, found in zip(splits, embedded, strict=True)
    )
    images = TaskImages.of(*zip(splits, embedded, strict=True))
    store = _Remembering(LatentCache(agent.home.cache / "biases"))
    lesson = Lesson.of(task, find_variant("moments+bb"), created="2000-01-01T00:00:00Z")
    teacher = Teacher(agent.backbone, Author("0" * 64, ""), store)
    teacher.teach(lesson, EmbeddedTask(train, validation, images))
    return _rows(agent, task.name, images, validation.labels, store.last)


def _rows(
    agent: Agent, name: str, images: TaskImages, labels: np.ndarray, trained: Trained
) -> list[str]:
    forward = agent.backbone.forward_pass
    layers = biasable_layers(forward.net, agent.backbone.size)
    bb = BeneficialBiases(forward, choose_layers(layers, "all"))
    reads = TapLatents("multi", agent.backbone.reference, bb.device)
    found: list[str] = []
    exact: np.ndarray | None = None
    for kind in KINDS:
        encoded = encode_biases(torch.from_numpy(trained.values), bb.layout, bb.deviations, kind)
        values = encoded.decode(bb.layout, bb.deviations)
        parts = []
        for start in range(0, len(labels), BATCH_SIZE):
            some = np.arange(start, min(start + BATCH_SIZE, len(labels)))
            taps = bb.taps(decode_rows(images.validation, some, agent.backbone.size), values)
            parts.append(reads.exact(taps).numpy())
        posteriors = log_softmax(trained.head.head.logits(np.concatenate(parts)))
        exact = posteriors if exact is None else exact
        other = float(np.mean(posteriors.argmax(1) != exact.argmax(1)))
        log_loss = float(-posteriors[np.arange(len(labels)), labels].mean())
        figures = f"{log_loss:.4f} | {100 * accuracy(posteriors, labels):.1f}"
        found.append(
            f"| {name} | {kind} | {encoded.size_bytes:,} | {figures} | {100 * other:.1f} |"
        )
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--names", required=True)
    options = parser.parse_args()
    head = ("task", "encoding", "bytes", "log loss", "right, %", "other answer, %")
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for path in find_tasks(options.tasks, options.names.split(",")):
        print("\n".join(rows(path, options.home, options.backbone)), flush=True)


if __name__ == "__main__":
    main()
