"""Equal shares of all images: cut, sent to the owners, fitted and sent to everybody."""

from __future__ import annotations

import pytest

from teachmesh.model.reference import DEFAULT_DIM
from teachmesh_lab.bench.dry_run import manifest_sizes, shared_costs
from teachmesh_lab.evaluation.cost_ledger import TaskCost
from teachmesh_lab.simulation.event_simulation import Network
from teachmesh_lab.simulation.part_estimates import Piece, cut_tasks, simulate_parts
from teachmesh_lab.simulation.simulate_grid import Setting, run_simulation
from teachmesh_lab.simulation.task_estimates import NetworkSize
from teachmesh_lab.streams.manifest import skill102
from teachmesh_lab.studies.paper_arithmetic import LATENT, XCEPTION_MACS


@pytest.mark.parametrize("speeds", [[1.0], [1.0] * 7, [3.0, 1.0, 2.0]])
def test_every_image_is_learned_once_and_shares_are_as_large_as_the_speeds(
    speeds: list[float],
) -> None:
    """There is at most one piece more per agent than there are tasks."""
    images = [700, 3, 41, 256]
    pieces = cut_tasks(images, speeds)
    for task, count in enumerate(images):
        assert sum(piece.images for piece in pieces if piece.task == task) == count
    for agent, speed in enumerate(speeds):
        mine = sum(piece.images for piece in pieces if piece.agent == agent)
        assert mine == pytest.approx(sum(images) * speed / sum(speeds), abs=1)
    assert len(pieces) <= len(images) + len(speeds) - 1


def test_the_time_is_the_sum_of_its_steps() -> None:
    """Two agents with one task of 10 images: 5 passes, one part, one fit, one skill."""
    fit = TaskCost("a", 100, 40, 10, 20)
    network = Network(10.0, 1.0)
    found = simulate_parts([10], [fit], 30, network, [10.0, 10.0])
    part_s = Piece(0, 1, 5).part_bytes / 10
    assert found.makespan_s == 5 * 30 / 10 + 1 + int(10 * part_s) / 10 + 100 / 10 + 1 + 40 / 10 + 3
    assert found.alone_s == (10 * 30 + 100 + 20) / 10
    assert found.bytes_received == Piece(0, 1, 5).part_bytes
    assert simulate_parts([10], [fit], 30, network, [10.0]).speedup == 1


def test_a_part_has_all_latents_or_sums() -> None:
    """The sizes are those that `statistics_file` states."""
    assert Piece(0, 0, 512).part_bytes == pytest.approx(512 * 2048, rel=0.03)
    assert Piece(0, 0, 513).part_bytes == pytest.approx(5.5e6, rel=0.01)


def test_parts_use_more_agents_than_tasks() -> None:
    """The paper's 102 tasks keep 204 agents busy; no other method than moments has parts."""
    sizes = manifest_sizes(skill102())
    fits = shared_costs("moments", sizes, NetworkSize(0, LATENT, DEFAULT_DIM))[0]
    images = [size.train + size.validation for size in sizes]
    for agents in (102, 204):
        network = Network.of_alpha(1e12, latency_s=0.1)
        found = simulate_parts(images, fits, XCEPTION_MACS, network, [1e12] * agents)
        assert 0.99 < found.efficiency < 1
    for method, has_parts in (("moments", True), ("maha", False)):
        rows = run_simulation(Setting(agents=(2,), method=method))["rows"]
        found_rows = {row["tasks"]: row for row in rows}
        assert ("parts" in found_rows) == has_parts
