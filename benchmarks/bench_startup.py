"""Start-up time of the command line, as a multiple of the time to import typer and rich."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from teachmesh.bank.home import Home
from teachmesh.bank.store import Bank
from teachmesh.model.backbone_cards import EMBEDDED, embedded_card
from teachmesh.packet.card import Card
from teachmesh.packet.signing import AgentKey, sign
from teachmesh.packet.skill import Skill

SKILLS = 100
CLUSTERS, LATENT_SIZE = 2, 8
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
    """Add small signed skills for the embedded backbone to the bank of a home."""
    key = home.load_key()
    with Bank(home.bank) as bank:
        for number in range(SKILLS):
            bank.put(sign(small_skill(f"task {number}", key), key))


def small_skill(task: str, key: AgentKey) -> Skill:
    """Return a skill of a few hundred bytes: two Gaussian clusters and no head."""
    card = Card(
        task=task,
        classes=("one", "two"),
        images_per_class=(10, 10),
        validation_images=4,
        method="gmmc",
        anchors=("gmmc",),
        backbone_name=EMBEDDED,
        backbone_fingerprint=embedded_card()["fingerprint"],
        reference_id="0" * 64,
        validation_accuracy=1.0,
        cost_macs=1,
        cost_s=1.0,
        author=key.public_key,
        alias="bench",
        created="2026-11-29T12:00:00Z",
        privacy="statistics",
        version="0.1.0",
    )
    shape = (CLUSTERS, LATENT_SIZE)
    tensors = {
        "gmmc.means": np.zeros(shape, np.float32),
        "gmmc.variances": np.ones(shape, np.float32),
        "gmmc.weights": np.full(CLUSTERS, 1 / CLUSTERS, np.float32),
    }
    return Skill(card, tensors)
