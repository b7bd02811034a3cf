"""Our trained baselines and Avalanche's on one stream with one network, in two processes.

python -m benchmarks.avalanche_check            # table
python -m benchmarks.avalanche_check --json     # one JSON document

Both sides learn permuted digits from the same initial weights. Except for replay, they also see the
same batches in the same order. So fine-tuning and LwF have to agree up to rounding. EWC and MAS
differ in their estimates of importance, and replay differs in the drawn images.

Avalanche is installed into an environment of its own, in the user's cache. It never becomes a
dependency of the project.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import our_curves
from benchmarks.permuted_digits import BATCH, Trial

SCHEMA = "teachmesh.avalanche-check/1"
EPOCHS, SEEDS = 5, 5
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "teachmesh" / "avalanche"
_PINNED = ("avalanche-lib==0.6.0", "torchvision==0.28.0")
_NEEDED = (
    "dill", "gdown", "gputil", "matplotlib", "psutil", "pytorchcv", "qpsolvers", "scikit-learn",
    "tensorboard", "torchmetrics", "tqdm", "wandb",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes:
        name: name of the row.
        method: name of the method.
        ours: our strength, 0 for none.
        theirs: Avalanche's strength, 0 for none.
        our_details: further hyper-parameters of ours.
        their_details: further settings of Avalanche's side.
    """

    name: str
    method: str
    ours: float = 0.0
    theirs: float = 0.0
    our_details: dict[str, Any] = field(default_factory=dict)
    their_details: dict[str, Any] = field(default_factory=dict)


_NO_WARM_UP = {"warm_up": 0.0}
COMPARISONS = (
    Comparison("fine-tune", "fine-tune"),
    # Avalanche has no factor 1/2, and squares the mean gradient of a batch, not each image's.
    Comparison("ewc", "ewc", 100, 100 * BATCH / 2),
    Comparison("online-ewc", "online-ewc", 100, 100 * BATCH / 2, {"decay": 0.95}),
    # Avalanche takes the size of a batch's mean gradient, and halves old importances.
    Comparison("mas", "mas", 1, 5),
    Comparison("er", "er"),
    *(Comparison(f"lwf {s}", "lwf", s, s, _NO_WARM_UP) for s in (1, 3, 10)),
    *(
        Comparison(f"lwf {s}, one head in Avalanche", "lwf", s, s, _NO_WARM_UP, {"one_head": True})
        for s in (1, 3, 10)
    ),
    Comparison("lwf 3, Adam kept in Avalanche", "lwf", 3, 3, _NO_WARM_UP, {"kept": True}),
    Comparison("lwf 3, ours with a warm-up", "lwf", 3, 3, {"warm_up": 1.0}),
)


def make_environment(folder: Path) -> Path:
    """Make the environment unless it is there; return its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / ".installed"
    if stamp.exists():
        return python
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q"]
    version = torch.__version__.partition("+")[0]
    for arguments in ([f"torch=={version}"], ["--no-deps", *_PINNED], list(_NEEDED)):
        subprocess.run([*install, *arguments], check=True, stdout=sys.stderr)
    stamp.touch()
    return python


def run_avalanche(python: Path, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Run trials in Avalanche's environment."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in {trial.seed for trial in trials}:
            start = our_curves.start(seed, trials[0].epochs)
            np.savez(Path(folder) / f"{seed}.npz", **start)  # type: ignore[arg-type]
        done = subprocess.run(
            [str(python), "-m", "benchmarks.avalanche_curves", folder],
            input=json.dumps([asdict(trial) for trial in trials]),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONPATH": ""},
        )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def compare(python: Path, seeds: Sequence[int], epochs: int) -> dict[str, Any]:
    """Return one JSON document with both curves of every comparison and seed."""
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for row in COMPARISONS:
        for seed in seeds:
            mine = Trial(row.method, row.ours, seed, epochs, row.our_details)
            other = Trial(row.method, row.theirs, seed, epochs, row.their_details)
            ours[json.dumps(asdict(mine))], theirs[json.dumps(asdict(other))] = mine, other
    curves = run_avalanche(python, list(theirs.values()))
    theirs = dict(zip(theirs, [found["curve"] for found in curves], strict=True))
    ours = {key: our_curves.run(trial)["curve"] for key, trial in ours.items()}
    rows = []
    for row in COMPARISONS:
        mine_at = [Trial(row.method, row.ours, s, epochs, row.our_details) for s in seeds]
        other_at = [Trial(row.method, row.theirs, s, epochs, row.their_details) for s in seeds]
        rows.append(
            {
                **asdict(row),
                "our_curves": [ours[json.dumps(asdict(trial))] for trial in mine_at],
                "their_curves": [theirs[json.dumps(asdict(trial))] for trial in other_at],
            }
        )
    return {"schema": SCHEMA, "seeds": list(seeds), "epochs": epochs, "rows": rows}


def table(document: dict[str, Any]) -> str:
    """Return the document as a Markdown table, in per cent."""
    lines = [
        "| method | ours | Avalanche | after 5 tasks: ours - Avalanche |",
        "|---|---|---|---|",
    ]
    for row in document["rows"]:
        ours, theirs = (100 * np.array(row[key]) for key in ("our_curves", "their_curves"))
        gaps = ours[:, -1] - theirs[:, -1]
        spread = f" ± {gaps.std(ddof=1):.1f}" if len(gaps) > 1 else ""
        cells = [row["name"], _curve(ours), _curve(theirs), f"{gaps.mean():+.1f}{spread}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _curve(curves: np.ndarray) -> str:
    return " ".join(f"{value:.1f}" for value in curves.mean(0))


def main() -> None:
    """Make the environment, run both sides and print the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="number of seeds")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs per task")
    parser.add_argument("--environment", type=Path, default=CACHE, help="folder of Avalanche")
    options = parser.parse_args()
    torch.set_num_threads(1)
    python = make_environment(options.environment)
    document = compare(python, range(options.seeds), options.epochs)
    sys.stdout.write((json.dumps(document) if options.json else table(document)) + "\n")


if __name__ == "__main__":
    main()
