"""Run as a program: saves skills in a forked child and kills it, again and again.

Reads one line per trial from stdin (seconds until the kill), writes one line with the ids whose
`put` had returned. Forking saves the seconds that importing would cost in every trial.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from teachmesh.bank.store import Bank
from teachmesh.packet.signing import VerifiedSkill
from tests.packet.sample_skills import sample_signed


def write_for_ever(folder: Path, skills: list[VerifiedSkill], pipe: int) -> None:
    """Put one skill after another, and report each one."""
    with Bank(folder) as bank:
        for count in range(10**6):
            entry = bank.put(skills[count % len(skills)])
            os.write(pipe, f"{entry.id}\n".encode())


def trial(folder: Path, skills: list[VerifiedSkill], delay_s: float) -> list[str]:
    """Fork, kill after the delay, return what was acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            write_for_ever(folder, skills, writer)
        finally:
            os._exit(1)
    os.close(writer)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as stream:
        # A killed writer may leave half an id as the last line; it was not acknowledged.
        return [line.decode().strip() for line in stream if line.endswith(b"\n")]


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve trials until stdin ends."""
    folder = Path(sys.argv[1])
    say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        stamp = f"2026-11-23T11:{order['trial']:02d}:00Z"
        skills = [sample_signed(seed=seed, created=stamp) for seed in range(30)]
        say(json.dumps(trial(folder, skills, order["delay_s"])))


if __name__ == "__main__":
    main()
