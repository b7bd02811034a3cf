"""Estimated costs of a task with biases against the passes that were measured."""

from __future__ import annotations

import pytest

from teachmesh_lab.simulation.task_estimates import NetworkSize, TaskSize, estimate_task


@pytest.mark.parametrize("base", ["moments", "maha", "gmmc"])
@pytest.mark.parametrize(("ending", "passes"), [("+bb", 8.0), ("+bb-last", 28.3)])
def test_biases_cost_the_passes_that_were_measured(base: str, ending: str, passes: float) -> None:
    """Biases add their budget, or without a budget the average of ten tasks."""
    task, network = TaskSize("trash", 6, 700, 78), NetworkSize(100_000_000, 1280, 768)
    plain, biased = (estimate_task(name, task, network) for name in (base, base + ending))
    extra = (passes - 1) * (task.train + task.validation) * network.macs_per_image
    assert biased.teacher_macs - plain.teacher_macs == pytest.approx(extra, rel=1e-9)
