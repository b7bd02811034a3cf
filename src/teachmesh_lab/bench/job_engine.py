"""Engines that do jobs in this process or in worker processes on this machine."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from teachmesh.bank.home import Home
from teachmesh_lab.bench.jobs import Job
from teachmesh_lab.demo.agent_processes import child_environment, tail

Answer = dict[str, Any]
OnDone = Callable[[Job, Answer], None]
TRIES = 2
"""Maximum number of attempts at a job whose worker processes die."""


class Engine(ABC):
    """Does independent jobs in any order."""

    @abstractmethod
    def run(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        """Do all jobs.

        Args:
            jobs: jobs of one phase.
            on_done: function called after each job, one call at a time, with the job and
                {"ok": True} or {"ok": False, "message", "exit_code"}.
        """


class InProcess(Engine):
    """Does one job after another in this process; the arguments are those of `worker.Workshop`."""

    def __init__(self, run: Path, home: Home, device: str = "cpu") -> None:
        self._run, self._home, self._device = run, home, device
        self._workshop: Any = None

    def run(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        """Do all jobs in this process."""
        # Imported here because a run without missing cells needs no torch.
        from teachmesh_lab.bench.worker import Workshop, attempt

        if self._workshop is None:
            self._workshop = Workshop(self._run, self._home, self._device)
        for job in jobs:
            on_done(job, attempt(self._workshop, job))


class Processes(Engine):
    """Does jobs in worker processes; if a process dies, a new one tries its job again.

    Args:
        run: folder of the run; the workers write their logs to `worker-<n>.log` in it.
        home: home whose backbones and caches are used.
        workers: number of worker processes.
        device: device of all networks.
    """

    def __init__(self, run: Path, home: Home, workers: int, device: str = "cpu") -> None:
        self._run, self._home, self._workers, self._device = run, home, workers, device

    def run(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        """Do all jobs; when this returns, all workers have exited."""
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        done: queue.SimpleQueue[tuple[Job, Answer]] = queue.SimpleQueue()
        count = min(self._workers, len(jobs))
        workers = [_Worker(self._run, self._home, self._device, number) for number in range(count)]
        threads = [
            threading.Thread(target=worker.serve, args=(waiting, done), daemon=True)
            for worker in workers
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in jobs:
                on_done(*done.get())
        finally:
            for worker in workers:
                worker.stop()
            for thread in threads:
                thread.join()


class _Worker:
    """A child process with a thread that sends jobs to it."""

    def __init__(self, run: Path, home: Home, device: str, number: int) -> None:
        self._arguments = [str(run), str(home.path), device]
        self._log = run / f"worker-{number}.log"
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def serve(
        self, waiting: queue.SimpleQueue[Job], done: queue.SimpleQueue[tuple[Job, Answer]]
    ) -> None:
        """Send jobs to the child until none is left or the engine stops."""
        while not self._stopped:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                break
            done.put((job, self._try(job)))
        self._close()

    def _try(self, job: Job) -> Answer:
        for _ in range(TRIES):
            answer = self._send(job)
            if answer is not None:
                return answer
            if self._stopped:
                break
        return {
            "ok": False,
            "message": f"a worker ended at this job: {tail(self._log)}",
            "exit_code": 1,
        }

    def stop(self) -> None:
        """Kill the child; called from a different thread than `serve`."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def _send(self, job: Job) -> Answer | None:
        """Send a job and return the worker's answer; None if the worker died."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:  # broken pipe: the worker has exited
            line = ""
        if line:
            answer: Answer = json.loads(line)
            return answer
        self._close()
        return None

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "teachmesh_lab.bench.worker", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=child_environment(),
            )

    def _close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None
