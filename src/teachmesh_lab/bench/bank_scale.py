"""Size of a bank: cost of mapping, start, memory and adding with many synthetic skills.

The skills have the statistics of real ones: spread of class means, variances of covariances and
number of classes, measured on 36 real tasks with MobileNetV2. They are signed files in a real bank.

Two fresh processes open the bank, one after the other, so that memory and start are those of an
agent. The first one derives all densities and saves them (`first_start_s`). The second one finds
them on the disk, as in daily life (`start_s`), and is measured further.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from teachmesh.agent import Agent
from teachmesh.bank.store import Bank
from teachmesh.data.loader import Progress
from teachmesh.errors import TeachmeshError
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.mapper import TaskMapper
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.quantise import quantise_rows
from teachmesh.model.backbone import Backbone
from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.lanes import Lanes
from teachmesh.model.timm_net import TapNet, create, find_taps
from teachmesh.packet.card import Card
from teachmesh.packet.signing import AgentKey, sign
from teachmesh.packet.skill import Skill
from teachmesh.version import __version__

SCHEMA = "teachmesh.scale/1"
CLASSES = 16
RANK = 32
BANDS = (8, 32, 128, 384)
"""Ends of the bands of coordinates; the last band ends at D."""
CENTRE_DEVIATIONS = (2.1, 1.5, 1.1, 0.85, 0.77)
"""Standard deviation of the centres of tasks in each band."""
CLASS_DEVIATIONS = (1.1, 1.06, 0.9, 0.74, 0.68)
"""Standard deviation of class means about the centre of their task."""
DIRECTION_SHARES = (2.2, 1.9, 1.5, 1.0, 0.9)
"""Mean squares of the entries of a task's directions, relative to each other."""
LARGEST_VARIANCE, SMALLEST_VARIANCE = 84.0, 10.0
REST = 0.8
NETWORK, SIZE = "mobilenetv2_100", 160
POINTS = 256
"""Number of images that are mapped together."""
BATCH = 16
ROUNDS = 5
ADDED = 20
"""Number of skills that are added one by one."""
_BASES = 64


class SyntheticSkills:
    """Makes skills of class moments, the same for the same number.

    Args:
        dim: latent size, D.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._centre, self._class, shares = (
            _in_bands(values, dim)
            for values in (CENTRE_DEVIATIONS, CLASS_DEVIATIONS, DIRECTION_SHARES)
        )
        random = np.random.default_rng(0)
        drawn = random.normal(size=(_BASES, dim, RANK)) * np.sqrt(shares)[:, None]
        self._bases = np.linalg.qr(drawn)[0].transpose(0, 2, 1)  # (bases, R, D)

    def means(self, number: int) -> np.ndarray:
        """Return the (C, D) class means of a skill."""
        random = np.random.default_rng([1, number])
        centre = random.normal(size=self._dim) * self._centre
        return np.asarray(centre + random.normal(size=(CLASSES, self._dim)) * self._class)

    def anchor(self, number: int) -> MomentsAnchor:
        """Return the class moments of a skill."""
        random = np.random.default_rng([2, number])
        # Signs that change at random keep the rows orthonormal, and the mean squares too.
        signs = random.choice([-1.0, 1.0], size=self._dim)
        directions = self._bases[random.integers(_BASES)] * signs
        means, mean_scales = quantise_rows(self.means(number))
        return MomentsAnchor(
            means,
            mean_scales,
            quantise_rows(directions)[0],
            np.geomspace(LARGEST_VARIANCE, SMALLEST_VARIANCE, RANK).astype(np.float32),
            np.array([REST], dtype=np.float32),
            np.array([800], dtype=np.uint32),
            means,
            (mean_scales / 100).astype(np.float32),
            np.zeros(CLASSES, dtype=np.float32),
        )

    def points(self, number: int, count: int) -> np.ndarray:
        """Return (N, D) points of a skill's classes, with the covariance of its own task."""
        random = np.random.default_rng([3, number])
        roots = self.anchor(number).roots()
        noise = random.normal(size=(count, self._dim)) * REST**0.5
        noise += random.normal(size=(count, RANK)) @ roots
        return np.asarray(self.means(number)[random.integers(CLASSES, size=count)] + noise)


def _in_bands(values: tuple[float, ...], dim: int) -> np.ndarray:
    ends = [0, *(min(end, dim) for end in BANDS), dim]
    return np.repeat(values, np.diff(ends))


def measure_scale(
    tasks: int,
    cache: Path | None = None,
    progress: Progress | None = None,
    *,
    images: int = POINTS,
) -> dict[str, Any]:
    """Make a bank of synthetic skills, and measure it in two fresh processes.

    Args:
        tasks: number of skills.
        cache: existing folder for the temporary bank; the system's temporary folder by default.
        progress: called with (skills written, number of skills).
        images: number of images that are mapped together.

    Returns:
        The document of `teachmesh bench scale --json`.

    Raises:
        TeachmeshError: a fresh process failed.
        StorageError: the bank cannot be written.
        MissingExtraError: timm, which has the network for comparison, is not installed.
    """
    network()  # raises before the bank is written if timm is missing
    with tempfile.TemporaryDirectory(prefix="teachmesh-scale-", dir=cache) as folder:
        home = Path(folder)
        agent = Agent(home)
        write_skills(agent.bank, agent.backbone, range(tasks), progress)
        first = _in_fresh_process(home)
        document = _in_fresh_process(home, str(tasks), str(images))
        return {
            **document,
            "first_start_s": first["start_s"],
            "rss_bytes": max(first["rss_bytes"], document["rss_bytes"]),
        }


def _in_fresh_process(home: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", __name__, str(home), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TeachmeshError(f"the measurement failed: {done.stderr.strip()[-300:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def write_skills(
    bank: Bank, backbone: Backbone, numbers: range, progress: Progress | None = None
) -> None:
    """Sign synthetic skills and put them into a bank."""
    key = AgentKey(hashlib.sha256(b"teachmesh.scale").digest())
    synthetic = SyntheticSkills(backbone.dim)
    for done, number in enumerate(numbers, start=1):
        card = _card(number, key, backbone)
        bank.put(sign(Skill.of(card, [synthetic.anchor(number)]), key))
        if progress is not None:
            progress(done, len(numbers))


def _card(number: int, key: AgentKey, backbone: Backbone) -> Card:
    return Card(
        task=f"task {number}",
        classes=tuple(f"class {number}.{label}" for label in range(CLASSES)),
        images_per_class=(51,) * CLASSES,
        validation_images=0,
        method="moments",
        anchors=("moments",),
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        reference_id=backbone.reference_id,
        validation_accuracy=None,
        cost_macs=0,
        cost_s=0.0,
        author=key.public_key,
        alias="synthetic",
        created="2000-01-01T00:00:00Z",
        privacy="statistics",
        version=__version__,
    )


def network() -> ForwardPass:
    """Return MobileNetV2 for images of 160 px, with random weights, which do not change its speed.

    Raises:
        MissingExtraError: timm is not installed.
    """
    torch.manual_seed(0)
    net = create(NETWORK, pretrained=False, num_classes=0).eval()
    preprocessing = Preprocessing(SIZE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return ForwardPass(TapNet(net, find_taps(net)).eval(), preprocessing, torch.device("cpu"))


def start(home: Path) -> tuple[Agent, dict[str, Any]]:
    """Start an agent; return it, and the seconds and the memory that this took.

    Args:
        home: home of the agent.
    """
    started_s = time.perf_counter()
    agent = Agent(home)
    agent.sync()
    start_s = time.perf_counter() - started_s
    return agent, {"start_s": round(start_s, 3), "rss_bytes": _rss_bytes()}


def _rss_bytes() -> int:
    """Return the most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_bank(home: Path, tasks: int, images: int = POINTS) -> dict[str, Any]:
    """Start an agent on a bank of synthetic skills, and measure it.

    Args:
        home: home of the agent.
        tasks: number of skills in its bank.
        images: number of images that are mapped together.
    """
    agent, started = start(home)
    mapper = agent.sync().mapper
    synthetic = SyntheticSkills(agent.backbone.dim)
    asked = np.linspace(0, tasks - 1, min(tasks, images)).astype(int)
    points = [synthetic.points(int(n), -(-images // len(asked))) for n in asked]
    latents = _latents(agent.metric(), np.concatenate(points)[:images])
    ratio = mapping_ratio(mapper, latents)
    rss_bytes = _rss_bytes()
    return {
        "schema": SCHEMA,
        "tasks": tasks,
        "classes": tasks * CLASSES,
        "map_over_backbone": round(ratio, 4),
        "start_s": started["start_s"],
        "rss_bytes": rss_bytes,
        "add_ms": round(add_milliseconds(mapper, synthetic, tasks), 3),
    }


def _latents(metric: Metric, points: np.ndarray) -> np.ndarray:
    return np.asarray(metric.undo(points) + metric.centre, dtype=np.float32)


def mapping_ratio(mapper: TaskMapper[MomentsAnchor], latents: np.ndarray) -> float:
    """Return the time for mapping an image, as a fraction of a pass of MobileNetV2 at 160 px.

    Both use all cores. The rounds alternate, and the median ratio counts.
    """
    forward = network()
    batches = -(-len(latents) // BATCH)
    images = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)

    def passes() -> None:
        with Lanes() as lanes:
            list(lanes.run((lambda: forward.taps(images)) for _ in range(batches)))

    def mapping() -> None:
        mapper.score(latents)

    mapping()
    passes()
    pairs = [(_seconds(mapping), _seconds(passes)) for _ in range(ROUNDS)]
    # The last batch has as many images as the others.
    share = batches * BATCH / len(latents)
    return share * statistics.median(mapped / passed for mapped, passed in pairs)


def add_milliseconds(mapper: TaskMapper[Any], synthetic: SyntheticSkills, first: int) -> float:
    """Return the median time for adding a task to a mapper and removing it, in milliseconds."""
    spent = []
    for number in range(first, first + ADDED):
        anchor = synthetic.anchor(number)

        def change(key: str = f"new {number}", anchor: MomentsAnchor = anchor) -> None:
            mapper.add(key, anchor)
            mapper.remove(key)

        spent.append(_seconds(change))
    return 1000 * statistics.median(spent)


def _seconds(work: Callable[[], None]) -> float:
    before_s = time.perf_counter()
    work()
    return time.perf_counter() - before_s


if __name__ == "__main__":
    folder, *numbers = sys.argv[1:]
    counts = [int(number) for number in numbers]
    found = measure_bank(Path(folder), *counts) if counts else start(Path(folder))[1]
    sys.stdout.write(json.dumps(found))
