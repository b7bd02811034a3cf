"""The device of a run: networks are built on it, and a missing device is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from teachmesh.bank.home import resolve_home
from teachmesh.errors import DeviceError
from teachmesh_lab.baselines.baseline_nets import build_net
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.bench.bench_methods import with_defaults
from teachmesh_lab.bench.run_grid import make_engine
from teachmesh_lab.bench.starting_nets import starting_net
from teachmesh_lab.bench.worker import Workshop

MISSING = "cuda:99"


@pytest.mark.parametrize("method", ["ewc", "psp"])
def test_a_trained_network_is_built_on_the_device(tmp_path: Path, method: str) -> None:
    """The device `meta` has shapes only, and is on every machine."""
    start = starting_net(method, with_defaults({}), tmp_path, "embedded").on(torch.device("meta"))
    net = MultiHead(build_net(start.factory, 0), start.size_px, 0)
    net.add_head(0, 3)
    assert {p.device.type for p in net.parameters()} == {"meta"}
    assert net.latents(torch.zeros(2, 3, start.size_px, start.size_px, dtype=torch.uint8)).is_meta


@pytest.mark.parametrize("workers", [1, 2])
def test_a_missing_device_ends_the_run_before_the_first_job(tmp_path: Path, workers: int) -> None:
    """The message names the device; without a name, a run uses the CPU."""
    home = resolve_home(tmp_path / "home")
    with pytest.raises(DeviceError, match=MISSING):
        make_engine("local", tmp_path, home, workers, MISSING)
    with pytest.raises(DeviceError, match=MISSING):
        Workshop(tmp_path, home, MISSING)
    assert Workshop(tmp_path, home).backbone("embedded").device.type == "cpu"
