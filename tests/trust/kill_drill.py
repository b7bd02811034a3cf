"""Kill writing, receiving and learning processes: python -m tests.trust.kill_drill 200 50 20."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from teachmesh.agent import Agent
from teachmesh.bank.atomic import TEMP_PREFIX
from teachmesh.bank.store import Bank
from teachmesh.packet.codec import skill_id
from teachmesh.packet.tombstone import sign_tombstone
from tests.bank.processes import start
from tests.forking.forked_popen import forking
from tests.packet.sample_skills import ALICE
from tests.trust.killed_work import Step, sample_task, steps

KILLED = -9
KINDS = ("disk", "call")


@dataclass(frozen=True)
class Ended:
    """End of a process.

    Attributes:
        lines: steps that it finished.
        was_killed: whether it killed itself; otherwise the last line has its counts.
    """

    lines: list[str]
    was_killed: bool

    def count(self, kind: str) -> int:
        """Return the number of its disk operations or calls."""
        return int(self.lines[-1].split()[KINDS.index(kind)])


def run(work: str, home: Path, trial: int, kind: str = "disk", number: int = 0) -> Ended:
    """Run a process of `killed_work` to its end."""
    arguments = [work, str(home), str(trial), kind, str(number)]
    process = start(["-m", "tests.trust.killed_work", *arguments])
    out, err = process.communicate(timeout=120)
    assert process.returncode in (0, KILLED), err
    return Ended(out.splitlines(), process.returncode == KILLED)


def points(trials: int, counts: Ended) -> Iterator[tuple[int, str, int]]:
    """Yield the number of a trial, and a kind and place of its kill, evenly over the work."""
    for trial in range(trials):
        kind = KINDS[trial % 2]
        yield trial, kind, 1 + trial * counts.count(kind) // trials


def check_bank(folder: Path) -> set[str]:
    """Open a bank like a restarted agent; return its live skills, all of which are whole."""
    with Bank(folder) as bank:
        assert bank.check().is_clean
        assert not list(folder.rglob(f"{TEMP_PREFIX}*"))
        for skill in bank.ids():
            assert skill_id(bank.get(skill)) == skill
            bank.load(skill)
        return set(bank.ids())


def kill_writers(trials: int, folder: Path) -> int:
    """Kill writers of one growing bank; return the number of kills."""
    home = folder / "writer"
    home.mkdir()
    counts = run("write", home, trials)
    kills, before = 0, check_bank(home / "bank")
    for trial, kind, number in points(trials, counts):
        ended = run("write", home, trial, kind, number)
        kills += ended.was_killed
        found = check_bank(home / "bank")
        plan, done = steps(trial), len(ended.lines)
        allowed = [before | _live(plan[:count]) for count in (done, done + 1)]
        assert found in allowed, (trial, kind, number)
        before = found
    return kills


def _live(done: list[Step]) -> set[str]:
    live: set[str] = set()
    for verb, skill in done:
        if skill is not None:
            live = live | {skill.id} if verb == "put" else live - {skill.id}
    return live


def kill_receivers(trials: int, folder: Path) -> int:
    """Kill agents that receive skills and a tombstone; each then gets the rest."""
    ids = _prepare_holder(folder)
    counts = run("receive", folder / "receiver", trials)
    kills = 0
    for trial, kind, number in points(trials, counts):
        home = folder / f"receiver-{trial}"
        ended = run("receive", home, trial, kind, number)
        kills += ended.was_killed
        saved = set(ended.lines if ended.was_killed else ended.lines[:-1])
        with Bank(home / "bank") as bank:
            assert saved <= set(bank.ids()) | set(bank.withdrawals.ids()), (trial, kind, number)
        check_bank(home / "bank")
        assert not run("receive", home, trial + trials).was_killed
        assert check_bank(home / "bank") == ids
        shutil.rmtree(home)
    return kills


def _prepare_holder(folder: Path) -> set[str]:
    """Write the skills and the tombstone of a peer; return the ids of the skills."""
    agent = Agent(folder / "author")
    for name in ("holder", "graves"):
        (folder / name).mkdir()
    for number in range(3):
        skill = agent.learn(sample_task(number), name=f"task {number}").skill_id
        (folder / "holder" / skill).write_bytes(agent.read(skill))
    tombstone = sign_tombstone("ab" * 32, ALICE)
    (folder / "graves" / tombstone.id).write_bytes(tombstone.data)
    return set(agent.bank.ids())


def kill_learners(trials: int, folder: Path) -> int:
    """Kill agents that learn a new task and a known one; each then learns them again."""
    prepared = folder / "learner"
    old = Agent(prepared).learn(sample_task(99), name="old").skill_id
    shutil.copytree(prepared, folder / "dry run")
    counts = run("learn", folder / "dry run", trials)
    kills = 0
    for trial, kind, number in points(trials, counts):
        home = shutil.copytree(prepared, folder / f"learner-{trial}")
        ended = run("learn", home, trials, kind, number)
        kills += ended.was_killed
        saved = set(ended.lines if ended.was_killed else ended.lines[:-1])
        found = check_bank(home / "bank")
        assert found >= saved | {old}, (trial, kind, number)
        assert len(found - saved) <= 2, (trial, kind, number)
        again = run("learn", home, trials)
        assert not again.was_killed
        assert check_bank(home / "bank") >= set(again.lines[:-1]) | {old}
        shutil.rmtree(home)
    return kills


DRILLS = {"write": kill_writers, "receive": kill_receivers, "learn": kill_learners}


def main(counts: list[int]) -> None:
    """Run the drills with so many kills each, and print a line for each."""
    for (name, drill), count in zip(DRILLS.items(), counts, strict=True):
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, forking():
            kills = partial(drill, count, Path(folder))()
        took_s = time.monotonic() - began_s
        sys.stdout.write(f"{name}: {kills} kills of {count}, 0 lost, 0 torn, {took_s:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [200, 50, 20])
