"""Agents in virtual time end with equal banks, whatever the network does to them.

A failing seed is run again with: python -m tests.trust.simulate SEED
"""

from __future__ import annotations

import pytest

from tests.trust.scenarios import MOSTLY_SMALL, History

LIMIT_S = 30.0
SEEDS = range(30)
PART = 10


@pytest.mark.parametrize("first", SEEDS[::PART])
def test_histories_lose_nothing_and_end_no_work(first: int) -> None:
    """Every skill reaches every agent soon after the last fault; no job or answer fails."""
    for seed in range(first, first + PART):
        outcome = History(seed, MOSTLY_SMALL).run(LIMIT_S)
        assert not outcome.lost, f"seed {seed}: {outcome}"
        assert not outcome.faults, f"seed {seed}: {outcome}"
        assert outcome.equal_s is not None, f"seed {seed}: {outcome}"


def test_a_seed_gives_the_same_history_again() -> None:
    """Otherwise a failing seed could not be examined."""
    assert History(7, MOSTLY_SMALL).run(LIMIT_S) == History(7, MOSTLY_SMALL).run(LIMIT_S)
