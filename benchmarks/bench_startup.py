"""Start-up time of the command line, as a multiple of the time to import typer and rich."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from teachmesh.bank.home import Home
from teachmesh.bank.store import Bank
from teachmesh.model.backbone_cards import EMBEDDED
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.build_backbone import choose_device
from teachmesh_lab.bench.bank_scale import write_skills

SKILLS = 100
ROUNDS = 11
BASELINE = ("-c", "import typer, rich")
COMMANDS = {
    "--help / import typer, rich": ("-m", "teachmesh", "--help"),
    "status / import typer, rich": ("-m", "teachmesh", "status"),
    "skills list / import typer, rich": ("-m", "teachmesh", "skills", "list"),
    "backbone list / import typer, rich": ("-m", "teachmesh", "backbone", "list"),
}


def run() -> dict[str, float]:
    """Return each command's median ratio to the baseline; each round times both."""
    with tempfile.TemporaryDirectory(prefix="teachmesh-bench-") as name:
        folder = Path(name)
        home = Home(folder / "home")
        fill(home)
        environment = {
            **os.environ,
            "TEACHMESH_HOME": str(home.path),
            # The first round writes the byte code, as an installation does; later rounds reuse it.
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        rounds = [_one_round(environment) for _ in range(ROUNDS + 1)][1:]
    return {name: statistics.median(found[name] for found in rounds) for name in COMMANDS}


def _one_round(environment: dict[str, str]) -> dict[str, float]:
    ratios = {}
    before_s = wall_s(BASELINE, environment)
    for name, command in COMMANDS.items():
        command_s = wall_s(command, environment)
        after_s = wall_s(BASELINE, environment)
        # The baseline runs before and after the commands, because the machine's speed drifts.
        ratios[name] = 2 * command_s / (before_s + after_s)
        before_s = after_s
    return ratios


def wall_s(arguments: tuple[str, ...], environment: dict[str, str]) -> float:
    """Run a Python process and return its duration in seconds."""
    started_s = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started_s


def fill(home: Home) -> None:
    """Add synthetic signed skills for the embedded backbone to the bank of a home."""
    backbone = load_backbone(home.backbones, EMBEDDED, choose_device("cpu"))
    with Bank(home.bank) as bank:
        write_skills(bank, backbone, range(SKILLS))
