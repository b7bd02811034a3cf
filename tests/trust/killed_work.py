"""Run as a program: works in a home, and kills itself at a given point.

    python -m tests.trust.killed_work WORK HOME TRIAL KIND NUMBER

- WORK is `write`, `receive` or `learn`.
- KIND `disk` dies in an operation of the disk, in the middle if it writes.
- KIND `call` dies in a call of a function of teachmesh in the main thread.
- NUMBER is the number of this operation or call; 0 kills nobody.

Each finished step is one line on stdout. The last line has the numbers of operations and calls.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from teachmesh.agent import Agent
from teachmesh.agent.on_mesh.node import BankInventory
from teachmesh.bank.atomic import FileOps
from teachmesh.bank.store import Bank
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.packet.tombstone import sign_tombstone
from teachmesh.sharing.gossip import Gossip
from tests.packet.sample_skills import ALICE, sample_signed
from tests.sharing.inventories import BytesInventory, id_of
from tests.sharing.meshes import id_of_agent, key_of
from tests.trust.virtual_network import VirtualRuntime, VirtualTransport, World

OPERATIONS = [name for name in vars(FileOps) if not name.startswith("_")]
Step = tuple[str, VerifiedSkill | None]


class Killer:
    """Counts operations of the disk and calls, and kills this process at one of them.

    Args:
        kind: "disk" or "call".
        number: number of the last operation or call, from 1; 0 for none.
    """

    def __init__(self, kind: str, number: int) -> None:
        self.counts = {"disk": 0, "call": 0}
        self._kind = kind
        self._number = number
        for name in OPERATIONS:
            setattr(FileOps, name, self._counted(name, getattr(FileOps, name)))
        sys.setprofile(self._on_call)

    def _is_last(self, kind: str) -> bool:
        self.counts[kind] += 1
        return kind == self._kind and self.counts[kind] == self._number

    def _counted(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(ops: FileOps, *args: Any) -> Any:
            if self._is_last("disk"):
                if name == "write":
                    original(ops, args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(ops, *args)

        return counted

    def _on_call(self, frame: FrameType, event: str, arg: object) -> None:
        is_ours = event == "call" and "/teachmesh/" in frame.f_code.co_filename
        if is_ours and self._is_last("call"):
            os.kill(os.getpid(), signal.SIGKILL)


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def steps(trial: int) -> list[Step]:
    """Return the steps of `write`: their verb, and a skill that no other trial has."""
    stamp = f"2026-11-23T{trial // 60:02d}:{trial % 60:02d}:00Z"
    kept, withdrawn, dropped, removed = (sample_signed(seed=i, created=stamp) for i in range(4))
    grown = sample_signed(seed=4, created=stamp, replaces=kept.id)
    return [
        *(("put", skill) for skill in (kept, withdrawn, dropped, removed, grown)),
        ("withdraw", withdrawn),
        ("drop", dropped),
        ("remove", removed),
        ("put", removed),
        ("prune", None),
        ("repair", None),
    ]


def write(home: Path, trial: int) -> None:
    """Save, withdraw, remove and repair, in one growing bank."""
    acts: dict[str, Callable[[Bank, VerifiedSkill], object]] = {
        "put": lambda bank, skill: bank.put(skill),
        "withdraw": lambda bank, skill: bank.withdrawals.add(
            sign_tombstone(skill.id, ALICE), keep_file=True
        ),
        "drop": lambda bank, skill: bank.withdrawals.add(
            sign_tombstone(skill.id, ALICE), keep_file=False
        ),
        "remove": lambda bank, skill: bank.remove(skill.id),
        "prune": lambda bank, skill: bank.withdrawals.prune(),
        "repair": lambda bank, skill: bank.repair(),
    }
    with Bank(home / "bank") as bank:
        for verb, skill in steps(trial):
            acts[verb](bank, skill)  # type: ignore[arg-type]
            say(verb)


class ReportingInventory(BankInventory):
    """Says the id of each skill and tombstone once it is saved."""

    def admit(self, skill_id: str, data: bytes) -> None:
        super().admit(skill_id, data)
        say(skill_id)

    def admit_tombstone(self, tombstone_id: str, data: bytes) -> None:
        super().admit_tombstone(tombstone_id, data)
        say(tombstone_id)


def receive(home: Path, trial: int) -> None:
    """Get all skills and tombstones of a peer, whose files are in the folder `holder`."""
    holder = BytesInventory(*(p.read_bytes() for p in sorted((home.parent / "holder").iterdir())))
    for path in sorted((home.parent / "graves").iterdir()):
        holder.graves[id_of(path.read_bytes())] = path.read_bytes()
    world = World(trial)
    agent = Agent(home)
    inventory = ReportingInventory(agent)
    for key, bank in ((agent.key, inventory), (key_of("holder"), holder)):
        own = agent.id if bank is inventory else id_of_agent("holder")
        runtime = VirtualRuntime(world, own)
        gossip = Gossip(bank, VirtualTransport(world, own), key, alias="x", runtime=runtime)
        gossip.number_from(trial)
        gossip.start()

    def is_complete() -> bool:
        return inventory.ids() >= holder.ids() and inventory.tombstones() >= set(holder.graves)

    assert world.run(60, is_complete)


def sample_task(trial: int) -> tuple[np.ndarray, list[str]]:
    """Return small (N, H, W, 3) images of two classes, and their labels."""
    images = np.random.default_rng(trial).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    images[6:] //= 4
    return images, ["bright"] * 6 + ["dark"] * 6


def learn(home: Path, trial: int) -> None:
    """Learn a task, and a newer version of the task `old`."""
    agent = Agent(home)
    for name in ("new", "old"):
        say(agent.learn(sample_task(trial), name=name, replace=True, force=True, seed=0).skill_id)


WORKS = {"write": write, "receive": receive, "learn": learn}

if __name__ == "__main__":
    work, folder, trial_text, chosen, place = sys.argv[1:]
    killer = Killer(chosen, int(place))
    WORKS[work](Path(folder), int(trial_text))
    sys.setprofile(None)
    say(f"{killer.counts['disk']} {killer.counts['call']}")
