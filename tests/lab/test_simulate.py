"""Simulated events worked out by hand, bounds of any schedule, and the 102 tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.errors import DataError, UsageError
from teachmesh_lab.evaluation.cost_ledger import TaskCost, account
from teachmesh_lab.simulation.event_simulation import Network, simulate
from teachmesh_lab.simulation.simulate_grid import Setting, run_simulation
from teachmesh_lab.simulation.simulated_tasks import read_task_file
from teachmesh_lab.simulation.task_splitting import simulate_packed, split_tasks


def test_two_agents_by_hand() -> None:
    """A learns for 10 s, B for 6 s; sending takes 1 s and 2 s, receiving 3 s and 4 s of work."""
    costs = [
        TaskCost("a", 100, 10, receive_macs=20, register_macs=10),
        TaskCost("b", 60, 20, receive_macs=30, register_macs=10),
    ]
    found = simulate(costs, ((0,), (1,)), Network(10.0, 0.5), [10.0, 10.0], consolidation_macs=50)
    # A learns and registers until 11. Skill b is ready at 7, announced at 7.5, received at 9.5.
    # A decodes and registers it from 11 to 15 and consolidates until 20. For B, skill a is ready
    # at 11, announced at 11.5, received at 12.5, registered at 15.5, consolidated at 20.5.
    assert found.done_s == (20.0, 20.5)
    assert found.makespan_s == 20.5
    assert found.alone_s == (160 + 20 + 50) / 10
    assert found.bytes_received == 20
    assert found.learning_s == 10.0


def test_one_interface_receives_one_skill_after_another() -> None:
    """Three authors are ready at the same time; the fourth agent receives for 3 x 4 seconds."""
    costs = [TaskCost(name, 10, 40) for name in "abc"]
    found = simulate(costs, ((0,), (1,), (2,), ()), Network(10.0), [10.0] * 4)
    assert found.done_s[3] == 1 + 3 * 4


def test_every_agent_with_a_skill_can_send_it() -> None:
    """Senders double (1, 2, 4), so seven agents receive in three rounds instead of seven."""
    found = simulate([TaskCost("a", 10, 40)], ((0,), *[()] * 7), Network(10.0), [10.0] * 8)
    assert found.makespan_s == 1 + 3 * 4


def test_agents_may_start_late_and_have_different_speeds() -> None:
    """A slow agent that starts at 5 finishes at 5 + 20."""
    costs = [TaskCost("a", 100, 0), TaskCost("b", 100, 0)]
    found = simulate(costs, ((0,), (1,)), Network(1e9), [10.0, 5.0], starts_s=[0.0, 5.0])
    assert found.makespan_s == pytest.approx(25.0)
    with pytest.raises(ValueError, match="exactly one agent"):
        simulate(costs, ((0,), (0, 1)), Network(1.0), [1.0, 1.0])
    with pytest.raises(ValueError, match="speeds"):
        simulate(costs, ((0,), (1,)), Network(1.0), [1.0])


@pytest.mark.parametrize("agents", [1, 2, 5, 12])
def test_sharing_overlaps_with_learning_within_bounds(agents: int) -> None:
    """The makespan is between the longest learning and the ledger's sum without overlap."""
    costs = [TaskCost(str(i), 1000 + 137 * i, 50 + i, 5, 7) for i in range(12)]
    found = simulate_packed(costs, agents, Network.of_alpha(100.0, 2.0), [100.0])
    ledger = account(costs, agents, alpha=2.0)
    assert ledger.teacher_macs / 100 <= found.makespan_s <= ledger.total / 100 + 1e-9
    assert found.speedup <= agents + 1e-9


def test_parts_of_split_tasks_add_up_and_no_part_is_large() -> None:
    """Every part has the bytes of the whole task; for one agent no task is split."""
    costs = [TaskCost("a", 8000, 10), TaskCost("b", 500, 10)]
    parts = split_tasks(costs, 4)
    assert sum(part.teacher_macs for part in parts) == pytest.approx(8500, abs=len(parts))
    assert max(part.teacher_macs for part in parts) <= 8500 / 4 / 8 + 1
    assert {part.skill_bytes for part in parts} == {10}
    assert [part.teacher_macs for part in split_tasks(costs, 1)] == [8000, 500]


def test_the_102_tasks_need_splitting_above_26_agents() -> None:
    """Whole tasks reach the bounds of the arithmetic; split tasks reach nearly N."""
    document = run_simulation(Setting(agents=(1, 10, 26, 51)))
    found = {(row["agents"], row["tasks"]): row["efficiency"] for row in document["rows"]}
    assert document["tasks"] == 102
    whole = [found[n, "whole"] for n in (1, 10, 26, 51)]
    assert whole == pytest.approx([1.0, 0.999, 0.987, 0.743], abs=0.01)
    assert found[51, "whole, given order"] == pytest.approx(0.371, abs=0.01)
    assert min(found[n, "split"] for n in (1, 10, 26, 51)) > 0.95


def test_files_of_sizes_and_of_costs(tmp_path: Path) -> None:
    """The columns tell the two apart; a slow network increases the makespan."""
    sizes, costs = tmp_path / "sizes.csv", tmp_path / "costs.csv"
    sizes.write_text("name,classes,train\nx,10,1000\ny,5,3000\n")
    costs.write_text("task,teacher_macs,skill_bytes,note\nx,1000,10,hello\ny,3000,10,\n")
    assert [task.train for task in read_task_file(sizes)] == [1000, 3000]  # type: ignore[union-attr]
    fast = run_simulation(
        Setting((2,), costs, speeds=(1.0,), latency_s=0.0, bandwidth_bytes_per_s=10.0)
    )
    slow = run_simulation(
        Setting((2,), costs, speeds=(1.0,), latency_s=0.0, bandwidth_bytes_per_s=0.0005)
    )
    assert fast["rows"][0]["makespan_s"] + 6000 < slow["rows"][0]["makespan_s"]
    assert run_simulation(Setting((2,), sizes))["rows"][0]["speedup"] > 1.2


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "columns"), ("name,classes,train\n", "at least one"),
     ("name,classes,train\nx,two,3\n", "whole numbers")],
)  # fmt: skip
def test_an_invalid_file_of_tasks_raises_a_clear_error(
    tmp_path: Path, text: str, message: str
) -> None:
    """The message gives the expected content."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_task_file(tmp_path / "t.csv")
    with pytest.raises(DataError, match="CSV file of tasks"):
        read_task_file(tmp_path / "none.csv")


def test_invalid_numbers_are_rejected() -> None:
    """They are checked before the simulation starts."""
    for setting in (
        Setting(agents=()),
        Setting(agents=(0,)),
        Setting(speeds=(0.0,)),
        Setting(bandwidth_bytes_per_s=0.0),
        Setting(agents=(2, 3), speeds=(1.0, 2.0)),
    ):
        with pytest.raises(UsageError, match="expected|need"):
            run_simulation(setting)
