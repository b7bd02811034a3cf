"""Engine for a Ray cluster: one actor per worker; an actor that dies is restarted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from teachmesh.bank.home import Home
from teachmesh.errors import MissingExtraError, NetworkError, UsageError
from teachmesh_lab.bench.job_engine import TRIES, Answer, Engine, OnDone
from teachmesh_lab.bench.jobs import Job

GPU_SHARE_VARIABLE = "TEACHMESH_RAY_GPUS"
"""Environment variable: fraction of a GPU that each actor reserves, such as 0.25; default 0."""


def gpu_share() -> float:
    """Read from the environment what fraction of a GPU each actor reserves.

    Raises:
        UsageError: the value is not a number of at least 0.
    """
    text = os.environ.get(GPU_SHARE_VARIABLE, "0")
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise UsageError(f"expected a share of a GPU in {GPU_SHARE_VARIABLE}, got {text!r}")
    return share


class RayEngine(Engine):
    """Does jobs with actors on the cluster that `ray.init` finds (RAY_ADDRESS), or on this machine.

    The run's folder and the home must be on a disk that all nodes share.

    Args:
        run: folder of the run.
        home: home whose backbones and caches are used.
        workers: number of actors.
        device: device of all networks.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the fraction of a GPU in the environment is not a number of at least 0.
    """

    def __init__(self, run: Path, home: Home, workers: int, device: str = "cpu") -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        gpu_share()
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("ray", "ray") from error
        self._ray = ray
        self._run, self._home, self._workers = run.absolute(), home.path, workers
        self._device = device

    def run(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        """Do all jobs with a pool of actors; a lost job counts as failed, and other jobs continue.

        Raises:
            NetworkError: the cluster cannot be reached.
        """
        ray = self._ray
        if not ray.is_initialized():
            try:
                ray.init(log_to_driver=False, include_dashboard=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                address = os.environ.get("RAY_ADDRESS", "none, a new cluster on this machine")
                raise NetworkError(
                    f"expected a Ray cluster at RAY_ADDRESS ({address}), got: "
                    f"{' '.join(str(error).split())[:300]}"
                ) from error
        actors = [self._actor() for _ in range(min(self._workers, len(jobs)))]
        try:
            self._feed(actors, list(jobs), on_done)
        finally:
            for actor in actors:
                ray.kill(actor)

    def _actor(self) -> Any:
        kind = self._ray.remote(
            num_cpus=1, num_gpus=gpu_share(), max_restarts=TRIES - 1, max_task_retries=TRIES - 1
        )(_Actor)
        return kind.remote(str(self._run), str(self._home), self._device)

    def _feed(self, actors: Sequence[Any], waiting: list[Job], on_done: OnDone) -> None:
        ray = self._ray
        running: dict[Any, tuple[Any, Job]] = {}
        idle = list(actors)
        while waiting or running:
            while idle and waiting:
                actor, job = idle.pop(), waiting.pop(0)
                running[actor.do.remote(dict(job))] = actor, job
            (reference,), _ = ray.wait(list(running), num_returns=1)
            actor, job = running.pop(reference)
            try:
                answer: Answer = ray.get(reference)
            except ray.exceptions.RayError as error:
                message = " ".join(str(error).split())[:500]
                answer = {"ok": False, "message": message, "exit_code": 1}
            idle.append(actor)
            on_done(job, answer)


class _Actor:
    """Actor that holds a `Workshop` on one node of the cluster."""

    def __init__(self, run: str, home: str, device: str) -> None:
        from teachmesh.bank.home import resolve_home
        from teachmesh_lab.bench.worker import Workshop

        self._workshop = Workshop(Path(run), resolve_home(home), device)

    def do(self, job: Mapping[str, Any]) -> Answer:
        """Do one job and return its outcome."""
        from teachmesh_lab.bench.worker import attempt

        return attempt(self._workshop, job)
