"""The comparison with Avalanche: both sides start from the same weights and batches."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmarks.avalanche_check import SCHEMA, table
from benchmarks.our_curves import new_net, pixel_task, run, start
from benchmarks.permuted_digits import BATCH, RATE, SIDE, TRAIN, Trial, make_tasks
from teachmesh_lab.baselines.baseline import BatchPart
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.fine_tune import FineTune
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.training_loop import Schedule, learn


class Noting(FineTune):  # type: ignore[misc]
    """Fine-tuning that notes the rows of its batches."""

    rows: list[int]

    def batch_loss(self, parts: list[BatchPart]) -> torch.Tensor:  # type: ignore[override]
        """Note the rows, then return the loss."""
        self.rows += [int(row) for _, rows in parts for row in rows]
        return super().batch_loss(parts)


def test_the_start_holds_our_weights_and_our_batches() -> None:
    """Oracle: a fresh network, and the batches of the training loop."""
    given = start(3, 2)
    net = MultiHead(build_net(new_net, 3), SIDE, 3)
    baseline = Noting(net, {}, 3)
    baseline.rows = []
    baseline.begin(0, pixel_task(0, make_tasks(3)[0]))
    for name, tensor in net.state_dict().items():
        assert (given[name] == tensor.numpy()).all()
    learn(baseline, [0], Schedule(2, BATCH, RATE))
    assert given["order.0"].flatten().tolist() == baseline.rows
    assert sorted(given["order.1"][0].tolist()) == list(range(TRAIN))


def test_tasks_are_permutations_of_the_same_pixels() -> None:
    """Task 0 shows digits as they are; every task has other pixels in the same place."""
    first, second = make_tasks(0)[:2]
    assert first.images.shape == (1797, 64)
    assert (np.sort(first.images.sum(1)) == np.sort(second.images.sum(1))).all()
    assert (first.images[:TRAIN].mean(0) != second.images[:TRAIN].mean(0)).any()


def test_a_curve_has_a_value_per_task_and_the_table_has_both() -> None:
    """A tiny run of ours, set against itself."""
    trial = Trial("ewc", 100.0, 0, 1)
    found = run(trial)
    curve = found["curve"]
    assert len(curve) == 5
    assert all(0 <= value <= 1 for value in curve)
    assert dataclasses.asdict(trial).items() <= found.items()
    row = {"name": "ewc", "our_curves": [curve], "their_curves": [curve]}
    assert table({"schema": SCHEMA, "rows": [row]}).splitlines()[-1].endswith("| +0.0 |")
