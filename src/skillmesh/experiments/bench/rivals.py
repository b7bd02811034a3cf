"""Baselines as cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skillmesh.errors import UsageError

if TYPE_CHECKING:
    from skillmesh.data.tasks import Task
    from skillmesh.experiments.bench.cell import Cell
    from skillmesh.experiments.bench.latents import TaskLatents
    from skillmesh.model.backbone import Backbone


def run_trained_rival(
    cell: Cell, tasks: Sequence[Task], backbone: Backbone
) -> tuple[dict[str, Any], dict[str, Any]]:
    raise UsageError("not yet")


def run_frozen_rival(
    cell: Cell, latents: Sequence[TaskLatents], backbone: Backbone
) -> tuple[dict[str, Any], dict[str, Any]]:
    raise UsageError("not yet")
