"""Estimated costs of closed-form methods equal the counted ones if classes have one size."""

from __future__ import annotations

import pytest

from teachmesh_lab.baselines.baseline_registry import BASELINES, run_frozen
from teachmesh_lab.bench.bench_methods import FROZEN
from teachmesh_lab.bench.closed_form_estimates import closed_form_costs
from teachmesh_lab.simulation.task_estimates import NetworkSize, TaskSize
from tests.lab.baselines.sample_streams import make_latent_stream

PASS = 1000


# With its 2,000 projections, `ranpac` is slow, and with both kinds of latents alike.
@pytest.mark.parametrize("method", [name for name in FROZEN if name != "ranpac-multi"])
def test_an_estimate_equals_the_counted_costs(method: str) -> None:
    """Multiply-accumulates of learning and consolidation, and bytes, of each of two tasks."""
    dim = 20 if method.endswith("-multi") else 16
    stream = make_latent_stream(2, dim)
    sizes = [
        TaskSize(task.name, len(task.classes), len(task.train), len(task.validation))
        for task in stream
    ]
    found, once = closed_form_costs(method, sizes, NetworkSize(PASS, 16, 20))
    hyper = {key: values[0] for key, values in BASELINES[method].grid.items()}
    costs = run_frozen(method, stream, hyper=hyper).costs
    images = [size.train + size.validation for size in sizes]
    assert [c.teacher_macs - n * PASS for c, n in zip(found, images, strict=True)] == list(
        costs.learn_macs
    )
    assert tuple(cost.skill_bytes for cost in found) == costs.task_bytes
    assert once == costs.consolidate_macs
