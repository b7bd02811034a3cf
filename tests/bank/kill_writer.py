"""Run as a program: saves skills in a forked child and kills it, again and again.

Reads one line per trial from stdin (reports and seconds until the kill), writes one line with the
ids whose `put` had returned. Forking saves the seconds that importing would cost in every trial.

With "withdraw" as second argument, the child also withdraws every skill, and writes its id a second
time when `add` has returned.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from teachmesh.bank.store import Bank
from teachmesh.packet.signing import VerifiedSkill
from teachmesh.packet.tombstone import sign_tombstone
from tests.packet.sample_skills import ALICE, sample_signed

Work = Callable[[Path, list[VerifiedSkill], int], None]


def write_for_ever(folder: Path, skills: list[VerifiedSkill], pipe: int) -> None:
    """Put one skill after another, and report each one."""
    with Bank(folder) as bank:
        for count in range(10**6):
            entry = bank.put(skills[count % len(skills)])
            os.write(pipe, f"{entry.id}\n".encode())


def withdraw_all(folder: Path, skills: list[VerifiedSkill], pipe: int) -> None:
    """Put and withdraw one skill after another; every second file is deleted."""
    with Bank(folder) as bank:
        for count, skill in enumerate(skills):
            bank.put(skill)
            os.write(pipe, f"{skill.id}\n".encode())
            bank.withdrawals.add(sign_tombstone(skill.id, ALICE), keep_file=count % 2 == 0)
            os.write(pipe, f"{skill.id}\n".encode())
    time.sleep(60)


def trial(
    folder: Path, skills: list[VerifiedSkill], after: int, delay_s: float, work: Work
) -> list[str]:
    """Fork, kill after some reports and a delay, return what was acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            work(folder, skills, writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        lines = [stream.readline() for _ in range(after)]
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # A killed writer may leave half an id as the last line; it was not acknowledged.
        return [line.decode().strip() for line in (*lines, *stream) if line.endswith(b"\n")]


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve trials until stdin ends."""
    folder = Path(sys.argv[1])
    work = withdraw_all if sys.argv[2:] == ["withdraw"] else write_for_ever
    say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        stamp = f"2026-11-23T11:{order['trial']:02d}:00Z"
        skills = [sample_signed(seed=seed, created=stamp) for seed in range(30)]
        say(json.dumps(trial(folder, skills, order.get("after", 0), order["delay_s"], work)))


if __name__ == "__main__":
    main()
