"""After kill -9 at any moment all acknowledged skills are there, and none is incomplete."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from teachmesh.bank.atomic import TEMP_PREFIX
from teachmesh.bank.store import Bank
from teachmesh.packet.codec import skill_id
from tests.bank.index_files import lose_index
from tests.bank.processes import start
from tests.packet.sample_skills import ALICE

N_TRIALS = 20
N_WITHDRAWALS = 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """20 kills of one growing bank at random moments; the invariants hold after each."""
    folder = tmp_path / "bank"
    moments = random.Random(0)
    acknowledged: set[str] = set()
    with start(["-m", "tests.bank.kill_writer", str(folder)]) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        assert killer.stdout.readline() == "ready\n"
        for trial in range(N_TRIALS):
            order = {"trial": trial, "delay_s": moments.uniform(0.02, 0.2)}
            killer.stdin.write(json.dumps(order) + "\n")
            killer.stdin.flush()
            acknowledged |= set(json.loads(killer.stdout.readline()))
            check_after_kill(folder, acknowledged)
        killer.stdin.close()

    with Bank(folder) as bank:
        entries = bank.entries()
        lose_index(folder)
        assert bank.entries() == entries
    assert len(acknowledged) > N_TRIALS, "the writer was always killed before its first skill"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_withdrawal_is_done_or_undone_and_loses_nothing_else(tmp_path: Path) -> None:
    """Acknowledged skills are live or withdrawn by a stored tombstone; acknowledged ones stay so.

    The killed writer reports each id once when it is saved and again when it is withdrawn.
    """
    folder = tmp_path / "bank"
    moments = random.Random(1)
    reported: Counter[str] = Counter()
    with start(["-m", "tests.bank.kill_writer", str(folder), "withdraw"]) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        assert killer.stdout.readline() == "ready\n"
        for trial in range(N_WITHDRAWALS):
            order = {"trial": trial, "after": 2 * trial, "delay_s": moments.uniform(0, 0.03)}
            killer.stdin.write(json.dumps(order) + "\n")
            killer.stdin.flush()
            reported.update(json.loads(killer.stdout.readline()))
            check_after_kill(folder, set())
            with Bank(folder) as bank:
                live, withdrawn = set(bank.ids()), bank.withdrawals.of_author(ALICE.public_key)
            assert set(reported) <= live | set(withdrawn)
            assert {skill for skill, count in reported.items() if count == 2} <= set(withdrawn)
            assert live.isdisjoint(withdrawn)
        killer.stdin.close()
    assert sum(reported.values()) >= 2 * sum(range(N_WITHDRAWALS))


def check_after_kill(folder: Path, acknowledged: set[str]) -> None:
    """Reopen the bank like a restarted agent, and check the invariants."""
    with Bank(folder) as bank:
        assert acknowledged <= set(bank.ids())
        assert bank.check().is_clean
        assert not list(folder.rglob(f"{TEMP_PREFIX}*"))
        for skill in bank.ids():
            assert skill_id(bank.get(skill)) == skill
