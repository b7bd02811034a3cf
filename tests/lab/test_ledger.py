"""Costs against sums written out, and packing against an exhaustive search."""

from __future__ import annotations

import itertools

import pytest

from teachmesh_lab.evaluation.cost_ledger import (
    TaskCost,
    account,
    chain_account,
    gather_account,
    in_given_order,
    longest_first,
    pack,
)

COSTS = [
    TaskCost("a", 900, 3, receive_macs=5, register_macs=10),
    TaskCost("b", 500, 2, receive_macs=7, register_macs=20),
    TaskCost("c", 100, 1, receive_macs=11, register_macs=30),
]


def test_one_agent_pays_for_teaching_and_consolidation_only() -> None:
    """A single agent receives and decodes nothing."""
    one = account(COSTS, 1, consolidation_macs=1000)
    assert (one.teacher_macs, one.bytes, one.student_macs) == (1500, 0, 60 + 1000)
    assert (one.speedup, one.efficiency) == (1.0, 1.0)


def test_the_last_agent_decides_and_the_columns_add_up() -> None:
    """Two agents with tasks {a} and {b, c}; the larger total decides."""
    two = account(COSTS, 2, alpha=10, consolidation_macs=1000)
    assert two.assignment == ((0,), (1, 2))
    first = (900, 3, 7 + 11 + 60 + 1000)
    second = (600, 3, 5 + 60 + 1000)
    totals = [t + 10 * b + s for t, b, s in (first, second)]
    assert two.total == max(totals) == totals[0]
    assert (two.teacher_macs, two.bytes, two.student_macs) == first
    assert two.speedup == pytest.approx((1500 + 60 + 1000) / two.total)
    assert two.efficiency == pytest.approx(two.speedup / 2)


def test_bytes_decide_which_agent_is_last() -> None:
    """The one that receives much is last, also if the other one has more work of its own."""
    costs = [TaskCost("a", 1000, 1, receive_macs=50), TaskCost("b", 990, 300)]
    two = account(costs, 2, alpha=10)
    assert (two.bytes, two.total) == (300, 1000 + 10 * 300)
    costs = [TaskCost("a", 1000, 300), TaskCost("b", 990, 1, receive_macs=50)]
    assert account(costs, 2, alpha=10).total == 990 + 10 * 300


@pytest.mark.parametrize("n_agents", [1, 2, 3, 7])
def test_dividing_by_n_is_the_best_that_any_packing_can_reach(n_agents: int) -> None:
    """Division by N is an upper bound of the speed-up, also with more agents than tasks."""
    equal = account(COSTS, n_agents, alpha=0, packing="equal")
    for packing in ("longest-first", "given"):
        assert account(COSTS, n_agents, alpha=0, packing=packing).speedup <= equal.speedup + 1e-12


def test_a_faster_agent_takes_more() -> None:
    """With speeds 1 and 3 the fast agent learns a and b and finishes last."""
    fast = account(COSTS, 2, alpha=0, speeds=[1.0, 3.0])
    assert fast.assignment == ((2,), (0, 1))
    assert fast.teacher_macs == pytest.approx(1400 / 3)
    with pytest.raises(ValueError, match="speeds"):
        account(COSTS, 2, speeds=[1.0])


def test_longest_first_is_within_a_third_of_the_best_of_all_assignments() -> None:
    """Graham's bound (4/3 - 1/3N) holds against the best of all 3^8 assignments."""
    costs = [9, 7, 6, 5, 5, 4, 2, 1]
    best = min(
        max(sum(c for c, a in zip(costs, choice, strict=True) if a == agent) for agent in range(3))
        for choice in itertools.product(range(3), repeat=len(costs))
    )
    parts = longest_first(costs, 3)
    assert sorted(task for part in parts for task in part) == list(range(len(costs)))
    reached = max(sum(costs[task] for task in part) for part in parts)
    assert best <= reached <= best * (4 / 3 - 1 / 9)


def test_the_given_order_keeps_neighbours_together() -> None:
    """Every task is assigned once, in order."""
    assert in_given_order(7, 3) == ((0, 1, 2), (3, 4), (5, 6))
    assert in_given_order(2, 3) == ((0,), (1,), ())
    with pytest.raises(ValueError, match="packing"):
        pack("random", [1.0], 1)
    with pytest.raises(ValueError, match="agent"):
        pack("given", [1.0], 0)


def test_a_chain_of_agents_is_slower_than_one() -> None:
    """Methods that cannot be divided only pay for handing over."""
    chain = chain_account(COSTS, 3, hand_over_bytes=100, alpha=2)
    assert chain.total == 1500 + 2 * 200
    assert chain.speedup == pytest.approx(1500 / 1900)
    assert chain.efficiency == pytest.approx(chain.speedup / 3)


def test_work_divided_by_n_is_the_sum_of_its_columns() -> None:
    """Two agents, by hand: half of the work and of the bytes, and all of the consolidation."""
    two = account(COSTS, 2, alpha=10, packing="equal", consolidation_macs=1000)
    assert (two.teacher_macs, two.bytes, two.student_macs) == (750, 3, 11.5 + 60 + 1000)
    assert two.total == 750 + 10 * 3 + 1071.5
    assert two.speedup == pytest.approx((1500 + 60 + 1000) / two.total)
    assert (two.efficiency, two.assignment) == (pytest.approx(two.speedup / 2), ())


def test_agents_in_turn_pay_for_every_hand_over() -> None:
    """Three agents send the network twice, which costs time and gains none."""
    chain = chain_account(COSTS, 3, 40, alpha=10)
    assert (chain.agents, chain.packing) == (3, "chain")
    assert (chain.teacher_macs, chain.bytes, chain.student_macs) == (1500, 80, 0)
    assert chain.total == 1500 + 10 * 80
    assert chain.speedup == pytest.approx(1500 / 2300)
    assert chain.efficiency == pytest.approx(1500 / 2300 / 3)
    assert chain_account(COSTS, 1, 40, alpha=10).total == 1500


def test_one_learner_gathers_the_images_of_the_others() -> None:
    """Four agents: three quarters of the images come in, and the network goes out."""
    gather = gather_account(COSTS, 4, 400, 50, alpha=10)
    assert (gather.agents, gather.packing) == (4, "gather")
    assert (gather.teacher_macs, gather.bytes, gather.student_macs) == (1500, 350, 0)
    assert gather.total == 1500 + 10 * 350
    assert gather.speedup == pytest.approx(1500 / 5000)
    assert gather.efficiency == pytest.approx(1500 / 5000 / 4)
    alone = gather_account(COSTS, 1, 400, 50, alpha=10)
    assert (alone.bytes, alone.total, alone.speedup) == (0, 1500, 1)


def test_a_ledger_needs_tasks_and_agents() -> None:
    """One agent and one task are enough, also without any cost."""
    assert account(COSTS[:1], 1, alpha=10).speedup == 1.0
    assert account([TaskCost("free", 0, 0)], 1).speedup == 1.0
    for costs, agents in ((COSTS, 0), ([], 1)):
        with pytest.raises(ValueError, match="expected tasks and agents"):
            account(costs, agents)
    with pytest.raises(ValueError, match="at least one agent"):
        pack("given", [1.0], 0)
    assert pack("given", [1.0, 1.0], 1) == ((0, 1),)
