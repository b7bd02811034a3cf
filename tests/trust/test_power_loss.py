"""A loss of power loses nothing that was acknowledged, whatever the disk had not yet written."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from teachmesh.bank.atomic import TEMP_PREFIX
from teachmesh.bank.home import Config, Home
from teachmesh.bank.statistics_folder import StatisticsFolder
from teachmesh.bank.store import Bank
from teachmesh.packet.codec import skill_id
from teachmesh.packet.tombstone import sign_tombstone
from tests.packet.sample_skills import ALICE, sample_signed
from tests.trust.unsynced_disk import RecordingOps, disk_after, restore

FIRST, SECOND, GROWN, WITHDRAWN, DROPPED = (
    sample_signed(),
    sample_signed(seed=1),
    sample_signed(seed=2, replaces=sample_signed().id),
    sample_signed(seed=3),
    sample_signed(seed=4),
)
STATISTICS = "ab" * 32


@dataclass(frozen=True)
class State:
    """Content of a home after a restart."""

    skills: frozenset[str]
    removed: frozenset[str]
    alias: str | None
    key: str | None
    statistics: bytes | None


def state_of(folder: Path) -> State:
    """Open a home like a restarted agent; the bank must be clean and every skill whole."""
    home = Home(folder)
    key = home.load_key().public_key if home.key_file.exists() else None
    with Bank(home.bank) as bank:
        if not bank.check().is_clean:  # a damaged file that was never acknowledged
            bank.repair()
        assert bank.check().is_clean
        assert not list(home.bank.rglob(f"{TEMP_PREFIX}*"))
        assert all(skill_id(bank.get(skill)) == skill for skill in bank.ids())
        ids, removed = frozenset(bank.ids()), frozenset(bank.removed_ids())
    statistics = StatisticsFolder(home.path / "statistics").load(STATISTICS)
    return State(ids, removed, home.config.alias, key, statistics)


def work(folder: Path, ops: RecordingOps) -> list[tuple[int, State]]:
    """Use a new home; return its state and the number of operations after each step."""
    done: list[tuple[int, State]] = []
    home = Home(folder, ops=ops)
    with Bank(home.bank, ops=ops) as bank:
        statistics = StatisticsFolder(home.path / "statistics", ops)
        buried = (sign_tombstone(skill.id, ALICE) for skill in (WITHDRAWN, DROPPED))
        steps: list[Callable[[], object]] = [
            home.load_key,
            lambda: home.save_config(Config(alias="alice")),
            lambda: statistics.save(STATISTICS, b"sums"),
            *(lambda skill=skill: bank.put(skill) for skill in (FIRST, SECOND, GROWN)),
            *(lambda skill=skill: bank.put(skill) for skill in (WITHDRAWN, DROPPED)),
            lambda: bank.remove(SECOND.id),
            lambda: bank.withdrawals.add(next(buried), keep_file=True),
            lambda: bank.withdrawals.add(next(buried), keep_file=False),
            lambda: home.save_config(Config(alias="anna")),
            lambda: statistics.discard(STATISTICS),
            lambda: bank.put(SECOND),
            bank.withdrawals.prune,
            bank.repair,
        ]
        for step in steps:
            step()
            done.append((len(ops.record), _now(home, bank)))
    return done


def _now(home: Home, bank: Bank) -> State:
    key = home.load_key().public_key
    statistics = StatisticsFolder(home.path / "statistics").load(STATISTICS)
    ids, removed = frozenset(bank.ids()), frozenset(bank.removed_ids())
    return State(ids, removed, home.config.alias, key, statistics)


@pytest.mark.parametrize(("some", "step"), [(False, 1), (True, 2)], ids=["none", "some"])
def test_power_is_lost_after_any_operation(some: bool, step: int, tmp_path: Path) -> None:
    """The home is as after the last acknowledged step, or as after the step that was running.

    Names and bytes that were not synced are lost, or kept in part; the index is an older one.
    """
    root = tmp_path / "disk"
    root.mkdir()
    ops, rng = RecordingOps(root), random.Random(0)
    done = work(root / "new" / "home", ops)
    empty = State(frozenset(), frozenset(), None, None, None)
    for count in range(0, len(ops.record) + 1, step):
        restore(disk_after(ops, count).lose_power(rng, some=some), root, tmp_path / "after")
        found = state_of(tmp_path / "after" / "new" / "home")
        before = [state for at, state in done if at <= count][-1:] or [empty]
        after = [state for at, state in done if at > count][:1]
        for name in State.__dataclass_fields__:
            expected = {getattr(state, name) for state in (*before, *after)}
            assert getattr(found, name) in expected, (count, name)
