"""Engines: dead workers are replaced, jobs that kill workers are reported, Ray does equal work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from teachmesh.errors import NetworkError, UsageError
from teachmesh_lab.bench import job_engine as engine_module
from teachmesh_lab.bench.job_engine import Answer, Processes
from teachmesh_lab.bench.jobs import Job
from teachmesh_lab.bench.ray_engine import GPU_SHARE_VARIABLE, gpu_share
from teachmesh_lab.bench.run_grid import make_engine, run_bench
from tests.lab.bench.conftest import TinyRun

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("forked_programs")


def test_workers_compute_the_same_cells_and_survive_a_job_that_kills_them(
    tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job without a cell ends its worker; a new worker does the other jobs."""
    monkeypatch.setattr(engine_module, "TRIES", 1)
    run = tmp_path / "run"
    run.mkdir()
    engine = Processes(run, tiny.home, 1)
    answers: list[tuple[Job, Answer]] = []
    engine.run([{"kind": "cell", "cell": None}], lambda job, answer: answers.append((job, answer)))
    ((_, answer),) = answers
    assert answer["ok"] is False
    assert "a worker ended at this job" in answer["message"]
    summary = run_bench(tiny.config, run, tiny.home, lambda: engine, log=lambda _: None)
    assert summary["identity"] == tiny.summary["identity"]


def test_a_worker_ends_in_the_middle_of_a_job_when_its_parent_is_gone(
    tiny: TinyRun, tmp_path: Path
) -> None:
    """A SIGKILL of the parent ends the worker's standard input; a half-written job is ignored."""
    command = [sys.executable, "-m", "tests.lab.bench.stuck_worker"]
    command += [str(tmp_path), str(tiny.home.path), "cpu"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True, cwd=ROOT) as worker:
        assert worker.stdin is not None
        assert worker.stderr is not None
        worker.stdin.write('{"kind": "cell"}\n')
        worker.stdin.flush()
        assert worker.stderr.readline() == "began\n"
        worker.stdin.write('{"kind": "ce')
        worker.stdin.close()
        assert worker.wait(60) == 1
        assert worker.stderr.read() == ""


def test_engines_have_names(tiny: TinyRun, tmp_path: Path) -> None:
    """An unknown engine and zero workers are refused."""
    with pytest.raises(UsageError, match="local, ray"):
        make_engine("slurm", tmp_path, tiny.home, 1)
    with pytest.raises(UsageError, match="at least one worker"):
        make_engine("local", tmp_path, tiny.home, 0)


def test_a_local_ray_computes_the_same_cells(tiny: TinyRun, tmp_path: Path) -> None:
    """The actors run on a cluster that the test starts."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    run = tmp_path / "run"
    try:
        engine = make_engine("ray", run, tiny.home, 2)
        summary = run_bench(tiny.config, run, tiny.home, lambda: engine, log=lambda _: None)
    finally:
        ray.shutdown()
    assert summary["identity"] == tiny.summary["identity"]


@pytest.mark.parametrize(("text", "share"), [(None, 0.0), ("0", 0.0), ("0.25", 0.25), ("2", 2.0)])
def test_the_share_of_a_gpu_is_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, text: str | None, share: float
) -> None:
    """The default is no GPU."""
    monkeypatch.delenv(GPU_SHARE_VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(GPU_SHARE_VARIABLE, text)
    assert gpu_share() == share


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", ""])
def test_a_share_of_a_gpu_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The share is checked before Ray is imported."""
    monkeypatch.setenv(GPU_SHARE_VARIABLE, text)
    with pytest.raises(UsageError, match="expected a share of a GPU in TEACHMESH_RAY_GPUS"):
        gpu_share()


class _NoCluster(ModuleType):
    """The part of Ray that the engine calls before it has a cluster; connecting fails."""

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        raise ConnectionError("ray client connection timeout\nat 10.0.0.1:6379")


def test_a_cluster_that_is_not_there_is_one_sentence(
    tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message contains the address."""
    monkeypatch.setitem(sys.modules, "ray", _NoCluster("ray"))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    engine = make_engine("ray", tmp_path, tiny.home, 2)
    with pytest.raises(NetworkError, match=r"at RAY_ADDRESS \(10.0.0.1:6379\), got: ray client"):
        engine.run([{"kind": "cell", "cell": None}], lambda *_: None)
