"""Cells of methods with biases: accuracies after every task."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from teachmesh_lab.bench.biased_cells import run_by_agent
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.bench.stream_latents import task_latents
from teachmesh_lab.bench.worker import Workshop
from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate
from tests.lab.bench.conftest import TinyRun

METHOD = "maha+bb-always"


def test_biased_curves_end_as_evaluate_says_and_heads_never_change(
    tiny: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row per task learned. Told the task, a skill answers the same after later tasks."""
    monkeypatch.setattr("teachmesh.biases.bias_plan.DEFAULT_PASSES", 4.0)
    workshop = Workshop(tiny.folder, tiny.home)
    stream = tiny.config.grids[0].stream
    (cell,) = [r.cell for r in read_run(tiny.folder).results if r.cell.method == "moments"]
    cell = dataclasses.replace(cell, stream=stream, method=METHOD)
    _, tasks = workshop.stream(cell.stream, cell.seed)
    backbone = workshop.backbone("embedded")
    latents = [task_latents(backbone, task, workshop.cache) for task in tasks]
    found, _ = run_by_agent(cell, latents, tiny.home)
    assert [len(row) for row in found["accuracy"]] == [1, 2]
    assert found["oracle"][0] == found["oracle"][1][:1]
    assert found["mapper"][0] == [1.0]
    assert found["test_macs_per_image"] > 2 * backbone.macs_per_image
    document = run_evaluate(
        EvaluateOptions(Path(stream.source), method=METHOD, home=tiny.home.path)
    )
    assert all(task["biases"]["weight"] == 1.0 for task in document["tasks"])
    for name in ("mapper", "final", "oracle"):
        assert found[name][-1] == [task[name] for task in document["tasks"]]
