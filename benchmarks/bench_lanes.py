"""Where the time beyond a bare backbone pass goes: lanes against one pass, and decoding."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.bench_agent import PREDICT_IMAGES, bare_pass, decoded, write_images
from skillmesh.data.images import ImageRef
from skillmesh.data.loader import iterate_batches, read_batch
from skillmesh.data.questions import find_questions
from skillmesh.model.backbone import Backbone
from skillmesh.model.build import embedded_backbone
from skillmesh.model.lanes import Lanes
from skillmesh.training.embedding import BATCH_SIZE, embed_images

ROUNDS = 7


def run() -> dict[str, float]:
    """Medians of ratios over several rounds, each against the bare pass of its round."""
    backbone = embedded_backbone("embedded")
    with tempfile.TemporaryDirectory(prefix="skillmesh-bench-") as name:
        write_images(Path(name), PREDICT_IMAGES, seed=2)
        refs = [q.source for q in find_questions(name) if isinstance(q.source, ImageRef)]
        images = decoded(backbone, Path(name))
        jobs: dict[str, Callable[[], object]] = {
            "network in lanes / bare pass": lambda: _in_lanes(
                len(images), lambda rows: backbone.embed(images[rows.start : rows.stop])
            ),
            "decoding in lanes / bare pass": lambda: _in_lanes(
                len(refs), partial(read_batch, refs, size=backbone.size)
            ),
            "both in lanes / bare pass": lambda: embed_images(backbone, refs),
            "decoding threads beside one pass / bare pass": lambda: _decoding_beside(
                backbone, refs
            ),
        }
        rounds = [
            {key: _seconds(job) / bare_pass(backbone, images) for key, job in jobs.items()}
            for _ in range(ROUNDS)
        ]
    return {key: statistics.median(found[key] for found in rounds) for key in jobs}


def _in_lanes(count: int, job: Callable[[range], object]) -> None:
    with Lanes() as lanes:
        for _ in lanes.run(
            partial(job, range(start, min(start + BATCH_SIZE, count)))
            for start in range(0, count, BATCH_SIZE)
        ):
            pass


def _decoding_beside(backbone: Backbone, refs: list[ImageRef]) -> None:
    """What accelerators get: threads decode ahead of one forward pass with all threads."""
    for batch in iterate_batches(refs, backbone.size, batch_size=32):
        backbone.embed(batch.images)


def _seconds(job: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    job()
    return time.perf_counter() - started_s


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for key, ratio in run().items():
        print(f"{key}: {ratio:.2f}")
