"""A worker process: `python -m teachmesh_lab.bench.worker RUN HOME DEVICE` reads one job per line.

Every worker uses one thread, because several workers share the cores and results must not depend on
the number of cores. A worker exits when its standard input ends, even in the middle of a job, so it
never outlives its parent. Agents that a worker started exit with it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import torch

from teachmesh.bank.home import Home, resolve_home
from teachmesh.errors import TeachmeshError
from teachmesh.mapping.maha import SAMPLES_PER_CLASS
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.build_backbone import choose_device
from teachmesh_lab.bench.bench_methods import Kind, check_bench_method, constants_of
from teachmesh_lab.bench.biased_cells import run_by_agent
from teachmesh_lab.bench.cell import Cell, cell_path, save_cell
from teachmesh_lab.bench.jobs import Job, record_name
from teachmesh_lab.bench.own_cells import run_ours, sample_image_bytes, sample_images
from teachmesh_lab.bench.real_agents import run_real
from teachmesh_lab.bench.starting_nets import backbone_columns
from teachmesh_lab.bench.stream_latents import embed_task, embedding_seconds, task_latents
from teachmesh_lab.evaluation.image_answers import (
    ImageAnswers,
    describe_tests,
    surest_mistakes,
)
from teachmesh_lab.evaluation.latent_cache import LatentCache
from teachmesh_lab.streams.task_stream import Stream, StreamSpec, open_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachmesh.data.tasks import Task
    from teachmesh.model.backbone import Backbone
    from teachmesh_lab.bench.stream_latents import TaskLatents


class Workshop:
    """Does the jobs of one run; backbones, streams and latents are loaded when first needed.

    Args:
        run: folder of the run.
        home: home whose backbones and caches are used.
        device: device of all networks: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        DeviceError: the device is unknown or not available.
    """

    def __init__(self, run: Path, home: Home, device: str = "cpu") -> None:
        self.run, self.home = run, home
        self.device = choose_device(device)
        self._backbones: dict[str, Backbone] = {}
        self._streams: dict[tuple[StreamSpec, int], tuple[Stream, list[Task]]] = {}

    @cached_property
    def cache(self) -> LatentCache:
        """On-disk cache of latents, shared with `evaluate`."""
        return LatentCache(self.home.cache / "latents")

    def backbone(self, name: str) -> Backbone:
        """Return the backbone with a given alias; each backbone is loaded only once."""
        if name not in self._backbones:
            self._backbones[name] = load_backbone(self.home.backbones, name, self.device)
        return self._backbones[name]

    def stream(self, spec: StreamSpec, seed: int) -> tuple[Stream, list[Task]]:
        """Return a stream and its tasks; each stream is read only once."""
        if (spec, seed) not in self._streams:
            stream = open_stream(spec, seed, self.home.cache / "streams")
            self._streams[spec, seed] = stream, stream.tasks()
        return self._streams[spec, seed]

    def do(self, job: Job) -> None:
        """Do one job; its files are on disk when this returns.

        Raises:
            TeachmeshError: the job failed.
        """
        torch.set_num_threads(1)
        if job["kind"] == "embed":
            self._embed(job)
        else:
            self._compute(Cell.from_json(job["cell"]))

    def _embed(self, job: Job) -> None:
        spec = StreamSpec(**{**job["stream"], "only": tuple(job["stream"]["only"])})
        _, tasks = self.stream(spec, job["seed"])
        record = self.run / job["record"]
        embed_task(self.backbone(job["backbone"]), tasks[job["number"]], self.cache, record)

    def _compute(self, cell: Cell) -> None:
        if cell_path(self.run, cell).exists():
            return
        started_s = time.perf_counter()
        result, timing = self._result(cell)
        timing["wall_s"] = time.perf_counter() - started_s
        _, tasks = self.stream(cell.stream, cell.seed)
        result["tests"] = describe_tests(tasks)
        save_cell(self.run, cell, result, timing)

    def _result(self, cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
        stream, tasks = self.stream(cell.stream, cell.seed)
        kind = check_bench_method(cell.method)
        if kind is Kind.TRAINED:
            from teachmesh_lab.bench.baseline_cells import run_trained_baseline

            return run_trained_baseline(cell, tasks, self.home.backbones, self.device)
        backbone = self.backbone(cell.backbone)
        latents = [task_latents(backbone, task, self.cache) for task in tasks]
        if cell.agents > 1:
            # One folder per process, because agents of a killed run may still be shutting down.
            workplace = self.run / "scratch" / f"{cell.name}-{os.getpid()}"
            result, timing = run_real(cell, tasks, stream.paths, latents, self.home, workplace)
            return result | {"network": backbone_columns(backbone)}, timing
        if kind is Kind.ADAPTED:
            result, timing = run_by_agent(cell, latents, self.home, str(self.device))
            result["mistakes"] = _mistakes(result, latents)
        elif kind is Kind.OURS:
            result, timing = run_ours(cell, latents, backbone)
            count = constants_of(dict(cell.options)).samples_or(SAMPLES_PER_CLASS)
            result["sample_image_bytes"] = [sample_image_bytes(task, count) for task in tasks]
            result["sample_images"] = [sample_images(task, count) for task in tasks]
            result["mistakes"] = _mistakes(result, latents)
        else:
            from teachmesh_lab.bench.baseline_cells import run_frozen_baseline

            result, timing = run_frozen_baseline(cell, latents, backbone)
        result["network"] = backbone_columns(backbone)
        timing["embed_s"] = self._embed_seconds(cell, len(tasks))
        return result, timing

    def _embed_seconds(self, cell: Cell, n_tasks: int) -> list[float]:
        return embedding_seconds(
            [
                self.run / record_name(cell.stream_digest, cell.fingerprint, number)
                for number in range(n_tasks)
            ]
        )


def _mistakes(result: dict[str, Any], latents: Sequence[TaskLatents]) -> list[dict[str, Any]]:
    answers = [ImageAnswers.from_json(values) for values in result["answers"]]
    return surest_mistakes(answers, [task.images.test for task in latents])


def attempt(workshop: Workshop, job: Job) -> dict[str, Any]:
    """Do a job and return its outcome as JSON values.

    A TeachmeshError is returned as an outcome, so that later jobs still run.
    """
    try:
        workshop.do(job)
    except TeachmeshError as error:
        return {"ok": False, "message": str(error), "exit_code": error.exit_code}
    return {"ok": True}


def _read_jobs(lines: IO[str], jobs: queue.SimpleQueue[Job]) -> None:
    """Put every job into the queue; exit the process at the end of the input."""
    for line in lines:
        if line.endswith("\n"):  # otherwise the parent was killed while writing it
            job: Job = json.loads(line)
            jobs.put(job)
    os._exit(1)  # unlike sys.exit, this exits even in the middle of a job


def main() -> None:
    """Read jobs from standard input until it ends; write one line of JSON after each job."""
    workshop = Workshop(Path(sys.argv[1]), resolve_home(sys.argv[2]), sys.argv[3])
    answers = sys.stdout
    sys.stdout = sys.stderr  # output of libraries must not mix with the answers
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()
    while True:
        job = jobs.get()
        try:
            answer = attempt(workshop, job)
        except BaseException:
            traceback.print_exc()
            raise
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
