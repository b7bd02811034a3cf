"""Time for parallel lanes and for decoding, each relative to a bare backbone pass."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.bench_agent import BATCH_SIZE, PREDICT_IMAGES, decoded, ratio, write_images
from teachmesh.data.image_inputs import ImageInput, find_images
from teachmesh.data.loader import iterate_batches, read_batch
from teachmesh.model.backbone import Backbone
from teachmesh.model.build_backbone import embedded_backbone
from teachmesh.model.embedding import BATCH_SIZE as LANE_BATCH_SIZE
from teachmesh.model.embedding import embed_images
from teachmesh.model.lanes import Lanes

ROUNDS = 7


def run() -> dict[str, float]:
    """Return median ratios: a job's time divided by the mean of the passes before and after."""
    backbone = embedded_backbone("embedded")
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as name:
        write_images(Path(name), PREDICT_IMAGES, seed=2)
        asked = find_images(name)
        images = decoded(backbone, Path(name))
        jobs: dict[str, Callable[[], object]] = {
            "network in lanes / bare pass": lambda: _in_lanes(
                len(images), lambda rows: backbone.embed(images[rows.start : rows.stop])
            ),
            "decoding in lanes / bare pass": lambda: _in_lanes(
                len(asked), partial(read_batch, asked, size=backbone.size)
            ),
            "both in lanes / bare pass": lambda: embed_images(backbone, asked),
            "decoding threads beside one pass / bare pass": lambda: _decoding_beside(
                backbone, asked
            ),
        }
        rounds = [
            {key: ratio(backbone, images, job) for key, job in jobs.items()} for _ in range(ROUNDS)
        ]
    return {key: statistics.median(found[key] for found in rounds) for key in jobs}


def _in_lanes(count: int, job: Callable[[range], object]) -> None:
    with Lanes() as lanes:
        for _ in lanes.run(
            partial(job, range(start, min(start + LANE_BATCH_SIZE, count)))
            for start in range(0, count, LANE_BATCH_SIZE)
        ):
            pass


def _decoding_beside(backbone: Backbone, asked: list[ImageInput]) -> None:
    """Decode in threads while one forward pass uses all threads, as with an accelerator."""
    for batch in iterate_batches(asked, backbone.size, batch_size=BATCH_SIZE):
        backbone.embed(batch.images)


if __name__ == "__main__":
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for key, value in run().items():
        print(f"{key}: {value:.2f}")
