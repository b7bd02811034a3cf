"""Run all speed benchmarks and print each ratio with its goal; `make bench` runs this module.

python -m benchmarks.run_benchmarks           # one line per ratio
python -m benchmarks.run_benchmarks --json    # one JSON document
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time

import torch

from benchmarks.bench_agent import run as run_agent
from benchmarks.bench_gmm import run as run_gmm
from benchmarks.bench_lanes import run as run_lanes
from benchmarks.bench_one_image import WHOLE as ONE_IMAGE
from benchmarks.bench_one_image import run as run_one_image
from benchmarks.bench_scoring import run as run_scoring
from benchmarks.bench_startup import run as run_startup
from benchmarks.bench_web import run as run_web

BOUNDS = {
    "learn / bare pass": ("<=", 1.15),
    "predict / bare pass": ("<=", 1.10),
    "learn from 12 MP / whole decoder on all cores": ("<=", 1.0),
    ONE_IMAGE: ("<=", 1.10),
    "scikit-learn GMM / ours": (">=", 3.0),
    "per-sample loop / mapper scoring": (">=", 1.0),
    "process of its own / HTTP answer": (">=", 20.0),
    "--help / import typer, rich": ("<=", 3.0),
    "status / import typer, rich": ("<=", 5.0),
}

BENCHMARKS = (
    ("agent", run_agent),
    ("one image", run_one_image),
    ("lanes", run_lanes),
    ("gmm", run_gmm),
    ("scoring", run_scoring),
    ("start-up", run_startup),
    ("web", run_web),
)


def main() -> None:
    """Run all benchmarks and print their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        file=sys.stderr,
    )
    ratios: dict[str, float] = {}
    for name, run in BENCHMARKS:
        started_s = time.perf_counter()
        ratios |= run()
        print(f"{name}: {time.perf_counter() - started_s:.0f} s", file=sys.stderr)
    if options.json:
        print(json.dumps({"schema": "teachmesh.speed/1", "ratios": ratios}))
        return
    for name, ratio in ratios.items():
        sign, bound = BOUNDS.get(name, ("", 0.0))
        print(f"{name}: {ratio:.2f}" + (f"  (goal {sign} {bound:g})" if sign else ""))


if __name__ == "__main__":
    main()
