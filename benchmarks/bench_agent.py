"""Time for learning and predicting, relative to a bare backbone pass over the same images.

python -m benchmarks.bench_agent    # processor time of one thread, for a machine with other jobs
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from teachmesh.agent import Agent
from teachmesh.data.image_inputs import find_images
from teachmesh.data.loader import iterate_batches
from teachmesh.data.procedural_images import procedural_images
from teachmesh.model.backbone import Backbone

CLASSES = 4
LEARN_IMAGES = 320
PREDICT_IMAGES = 256
SIDE = 128
ROUNDS = 11
PHOTOS = 16
PHOTO = (3000, 4000)
PHOTO_ROUNDS = 3
BATCH_SIZE = 32
"""Fastest batch size for the bare pass; with all threads, small batches are slower."""
Clock = Callable[[], float]


def run(clock: Clock = time.perf_counter) -> dict[str, float]:
    """Return each ratio's median over several rounds; each round times a job and bare passes.

    Args:
        clock: function that returns seconds.
    """
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as name:
        folder = Path(name)
        write_images(folder / "task", LEARN_IMAGES, seed=1)
        write_images(folder / "asked", PREDICT_IMAGES, seed=2)
        agent = Agent(folder / "home")
        agent.learn(folder / "task", name="warm-up")
        rounds = [_one_round(agent, folder, number, clock) for number in range(ROUNDS)]
        photos = folder / "photos"
        write_photos(photos)
        large = [_large_photos(agent, photos, number, clock) for number in range(PHOTO_ROUNDS)]
    learn, predict = zip(*rounds, strict=True)
    return {
        "learn / bare pass": statistics.median(learn),
        "predict / bare pass": statistics.median(predict),
        "learn from 12 MP / whole decoder on all cores": statistics.median(large),
    }


def _one_round(agent: Agent, folder: Path, number: int, clock: Clock) -> tuple[float, float]:
    # A folder without splits is split 80/10/10, and test images are not embedded.
    backbone = agent.backbone
    training_images = decoded(backbone, folder / "task")[: LEARN_IMAGES * 9 // 10]
    learn = ratio(
        backbone,
        training_images,
        lambda: agent.learn(folder / "task", name=f"round-{number}"),
        clock,
    )
    agent.sync()  # New skills are consolidated once, not at every prediction.
    asked = decoded(backbone, folder / "asked")
    return learn, ratio(backbone, asked, lambda: agent.predict_many(folder / "asked"), clock)


def _large_photos(agent: Agent, folder: Path, number: int, clock: Clock) -> float:
    """Return the time to learn from photos, divided by that of Pillow's decoder on all cores."""
    files = sorted(folder.rglob("*.jpg"))
    started_s = clock()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(_decode_whole, files))
    decoding_s = clock() - started_s
    started_s = clock()
    agent.learn(folder, name=f"photos-{number}", split=(0, 0))
    return (clock() - started_s) / decoding_s


def _decode_whole(file: Path) -> None:
    with Image.open(file) as image:
        image.load()


def write_photos(folder: Path) -> None:
    """Write JPEG files of 12 megapixels, two per class, with the noise of a camera."""
    noise = np.random.default_rng(0).normal(0, 6, (*PHOTO, 1))
    for index, pixels in enumerate(procedural_images(PHOTOS, SIDE, 7)):
        target = folder / f"class {index % (PHOTOS // 2)}"
        target.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(pixels.transpose(1, 2, 0))
        large = np.asarray(small.resize(PHOTO[::-1], Image.Resampling.BICUBIC))
        noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(target / f"{index}.jpg", quality=90)


def ratio(
    backbone: Backbone,
    images: torch.Tensor,
    job: Callable[[], object],
    clock: Clock = time.perf_counter,
) -> float:
    """Return the time of a job divided by the mean time of two bare passes.

    One pass runs before the job and one after it, because the speed of the machine drifts.
    """
    before_s = bare_pass(backbone, images, clock)
    started_s = clock()
    job()
    job_s = clock() - started_s
    return 2 * job_s / (before_s + bare_pass(backbone, images, clock))


def decoded(backbone: Backbone, folder: Path) -> torch.Tensor:
    """Decode all images of a folder into an (N, 3, S, S) uint8 tensor."""
    batches = iterate_batches(find_images(folder), backbone.size, batch_size=BATCH_SIZE)
    return torch.cat([batch.images for batch in batches])


def bare_pass(backbone: Backbone, images: torch.Tensor, clock: Clock = time.perf_counter) -> float:
    """Return the duration in seconds of a pass over decoded images, with all threads."""
    started_s = clock()
    for start in range(0, len(images), BATCH_SIZE):
        backbone.embed(images[start : start + BATCH_SIZE])
    return clock() - started_s


def write_images(folder: Path, count: int, seed: int) -> None:
    """Write JPEG files of procedural images; each class has a folder with the class's name."""
    for index, pixels in enumerate(procedural_images(count, SIDE, seed)):
        target = folder / f"class {index % CLASSES}"
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(target / f"{index:04}.jpg", quality=90)


def main() -> None:
    """Print ratios of processor time with one thread."""
    torch.set_num_threads(1)
    for name, found in run(time.process_time).items():
        print(f"{name}: {found:.2f}")


if __name__ == "__main__":
    main()
