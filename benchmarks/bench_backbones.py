"""Measure images per second of several backbones, side by side in one run.

python -m benchmarks.bench_backbones HOME embedded mobilenetv2_100
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench_agent import write_images
from teachmesh.agent import Agent
from teachmesh.data.image_inputs import find_images
from teachmesh.model.embedding import embed_images

IMAGES = 128
ROUNDS = 5


def run(home: Path, names: list[str]) -> dict[str, float]:
    """Return each backbone's median number of images per second, including decoding."""
    backbones = {name: Agent(home, backbone=name).backbone for name in names}
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as folder:
        write_images(Path(folder), IMAGES, seed=3)
        asked = find_images(folder)
        for _ in range(1 + ROUNDS):
            for name, backbone in backbones.items():
                started_s = time.perf_counter()
                embed_images(backbone, asked)
                found[name].append(IMAGES / (time.perf_counter() - started_s))
    # The first round loads kernels.
    return {name: statistics.median(rates[1:]) for name, rates in found.items()}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"expected a home and backbones, got {sys.argv[1:]}; see the docstring")
    for name, rate in run(Path(sys.argv[1]), sys.argv[2:]).items():
        print(f"{name}: {rate:.0f} images/s")
