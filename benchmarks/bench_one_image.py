"""Processor time of one answer, and of its steps, relative to a bare backbone pass of the image.

python -m benchmarks.bench_one_image                       # the embedded backbone
python -m benchmarks.bench_one_image --backbone lite0 --home HOME
python -m benchmarks.bench_one_image --engine openvino     # still relative to torch's bare pass

The agent has learned nine built-in tasks with real pictures or drawings, and is asked about one of
their test images at a time. The second of two answers is timed, and the second of two bare passes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.bench_engines import cpu_seconds, give_backbone
from teachmesh.agent import Agent
from teachmesh.data.image_inputs import find_images
from teachmesh.data.loader import read_batch
from teachmesh.mapping.moments import one_thread
from teachmesh.model.backbone import Backbone
from teachmesh_lab.streams.builtin_stream import ORDER
from teachmesh_lab.streams.written_tasks import write_tasks

T = TypeVar("T")
TASKS = ORDER[:9]
IMAGES = 55
WHOLE = "one image / pass of one lane, processor time"
STEPS = ("finding and reading", "scores of all tasks", "text of the answer")


def run(
    backbone: str | None = None, home: Path | None = None, engine: str = "torch"
) -> dict[str, float]:
    """Return median ratios of processor time to a bare pass: the whole answer, and some steps.

    Args:
        backbone: name of a backbone in the home; None for the embedded one.
        home: home with the backbone; None for the user's.
        engine: engine that answers; the bare pass is always torch's.
    """
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as name:
        folder = Path(name)
        give_backbone(folder / "home", backbone, home)
        agent = Agent(folder / "home", backbone=backbone, engine=engine)
        tasks = write_tasks(folder / "tasks", TASKS)
        for task in tasks:
            agent.learn(task)
        bare = Agent(folder / "home", backbone=backbone).backbone
        return ratios(agent, bare, asked(tasks))


def asked(tasks: Iterable[Path]) -> list[Path]:
    """Return some test images of all tasks, equally far apart in the list of all."""
    images = [image for task in tasks for image in sorted((task / "test").rglob("*.png"))]
    count = min(IMAGES, len(images))
    return [images[n * len(images) // count] for n in range(count)]


def ratios(agent: Agent, bare: Backbone, images: Iterable[Path]) -> dict[str, float]:
    """Return the medians over images, with one thread."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    with one_thread():
        for image in images:
            pixels = read_batch(find_images(image), range(1), bare.size).images
            bare_s = warm_seconds(partial(bare.embed, pixels))
            found[WHOLE].append(warm_seconds(partial(agent.predict_one, image)) / bare_s)
            for step, seconds in zip(STEPS, steps_of(agent, image), strict=True):
                found[step].append(seconds / bare_s)
    return {name: statistics.median(values) for name, values in found.items()}


def warm_seconds(job: Callable[[], object]) -> float:
    """Return the processor time of a job that runs for the second time.

    Engines have weights of their own. The first run moves them into the caches of the processor.
    """
    job()
    return cpu_seconds(job)


def steps_of(agent: Agent, image: Path) -> tuple[float, float, float]:
    """Return the processor seconds of the steps around the pass, in the order of `STEPS`."""
    reading_s, _ = timed(lambda: read_batch(find_images(image), range(1), agent.backbone.size))
    seen = next(iter(agent.embed(find_images(image))))  # leaves caches as cold as in an answer
    scoring_s, decisions = timed(lambda: agent.sync().decide(seen.latents))
    writing_s, _ = timed(lambda: agent.describe(decisions, seen))
    return reading_s, scoring_s, writing_s


def timed(job: Callable[[], T]) -> tuple[float, T]:
    """Return the processor seconds of a job, and its result."""
    results: list[T] = []
    return cpu_seconds(lambda: results.append(job())), results[0]


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backbone", help="name of a backbone in the home")
    parser.add_argument("--home", type=Path, help="home with the backbone; default: the user's")
    parser.add_argument("--engine", default="torch", help="engine that answers")
    options = parser.parse_args()
    for name, ratio in run(options.backbone, options.home, options.engine).items():
        print(f"{name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
