"""Answers over HTTP against the bare prediction, and against a process of its own.

python -m benchmarks.bench_web
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from teachmesh import Agent, Client
from teachmesh.web.web_server import WebServer

ANSWERS = 200
PROCESSES = 5


def run() -> dict[str, float]:
    """Return the ratios of HTTP answers and commands, measured in turns in one process."""
    with tempfile.TemporaryDirectory() as folder:
        return _ratios(Path(folder))


def _ratios(folder: Path) -> dict[str, float]:
    agent = Agent(folder / "home")
    draws = np.random.default_rng(0)
    images = draws.integers(0, 255, (40, 96, 96, 3), dtype=np.uint8)
    images[20:] //= 4
    agent.learn((images, ["bright"] * 20 + ["dark"] * 20), name="light")
    photo = folder / "photo.png"
    Image.fromarray(images[0]).save(photo)
    data = photo.read_bytes()
    with WebServer(agent, port=0) as server, Client(server.url) as client:
        calls = [lambda: agent.predict(data), lambda: client.predict(data)]
        bare_s, http_s = (
            np.array(row) for row in zip(*(map(_timed, calls) for _ in range(ANSWERS)), strict=True)
        )
        line = [
            sys.executable,
            "-m",
            "teachmesh",
            "predict",
            str(photo),
            "--home",
            str(folder / "home"),
        ]
        rounds = [(_command(line), _command([*line, "--local"])) for _ in range(PROCESSES)]
    faster, cheaper = np.median([alone / used for used, alone in rounds], axis=0)
    alone_s = min(alone[0] for _, alone in rounds)
    return {
        "HTTP answer / bare prediction, p50": float(np.median(http_s) / np.median(bare_s)),
        "HTTP answer / bare prediction, p99": float(
            np.quantile(http_s, 0.99) / np.quantile(bare_s, 0.99)
        ),
        "process of its own / HTTP answer": float(alone_s / np.median(http_s)),
        "predict --local / predict, time": float(faster),
        "predict --local / predict, processor time": float(cheaper),
    }


def _timed(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def _command(line: list[str]) -> np.ndarray:
    """Run a command, and return its time and its processor time in seconds."""
    before_s = _processor_s()
    wall_s = _timed(lambda: subprocess.run(line, check=True, stdout=subprocess.DEVNULL))
    return np.array([wall_s, _processor_s() - before_s])


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    for name, ratio in run().items():
        print(f"{name}: {ratio:.2f}")
