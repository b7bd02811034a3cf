"""Seconds per image of tasks whose latents are cached: a slow network embeds few images again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from teachmesh.model.embedding import BATCH_SIZE
from teachmesh_lab.bench import stream_latents
from teachmesh_lab.bench.run_folder import read_run
from teachmesh_lab.bench.worker import Workshop
from tests.lab.bench.conftest import TinyRun


@pytest.mark.parametrize("enough_s", [1e-9, math.inf])
def test_timing_cached_latents_stops_after_a_time_limit(
    enough_s: float, tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network with seconds per image would otherwise time 128 images per task and seed."""
    monkeypatch.setattr(stream_latents, "_ENOUGH_S", enough_s)
    workshop = Workshop(tiny.folder, tiny.home)
    cell = read_run(tiny.folder).results[0].cell
    task = workshop.stream(tiny.config.grids[0].stream, cell.seed)[1][0]
    record = tmp_path / "embedding" / "0000.json"
    stream_latents.embed_task(workshop.backbone("embedded"), task, workshop.cache, record)
    timed = json.loads(record.read_text("utf-8"))
    assert timed["task_images"] == len(task.train) + len(task.validation)
    assert timed["timed_images"] == (len(task.train) if enough_s > 1 else BATCH_SIZE)
    assert stream_latents.embedding_seconds([record])[0] > 0
