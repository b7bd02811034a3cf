"""Learning in the background: one task after another, with progress and cancellation."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from teachmesh.errors import TeachmeshError
from teachmesh.web.http_errors import HttpRefusal, body_of

KEPT = 50
"""Number of finished jobs that are still shown."""
FINISHED = frozenset({"done", "failed", "cancelled"})


class JobCancelled(Exception):
    """A person cancelled the job; raised out of the progress of learning."""


@dataclass(eq=False)
class LearningJob:
    """One task that is learned in the background.

    Attributes:
        id: random name of the job.
        task: name of the task.
        work: function that learns; it gets the job to report progress to.
        state: `queued`, `running`, `done`, `failed` or `cancelled`.
        done: number of images that passed the backbone.
        total: number of images in all; 0 if it is not known yet.
        summary: description of the task, once it was read.
        result: document of the learned skill.
        error: document of the error.
    """

    id: str
    task: str
    work: Callable[[LearningJob], Mapping[str, Any]]
    state: str = "queued"
    done: int = 0
    total: int = 0
    summary: str = ""
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def progress(self, done: int, total: int) -> None:
        """Note the progress; raise `JobCancelled` if the job was cancelled."""
        self.check()
        self.done, self.total = done, total

    def understood(self, summary: str) -> None:
        """Note the description of the task."""
        self.check()
        self.summary = summary

    def check(self) -> None:
        """Raise `JobCancelled` if the job was cancelled."""
        if self.stop.is_set():
            raise JobCancelled

    def to_json(self) -> dict[str, Any]:
        """Return the job as a JSON object."""
        return {
            "schema": "teachmesh.job/1",
            "job": self.id,
            "task": self.task,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "summary": self.summary,
            "result": self.result,
            "error": self.error,
        }


class LearningJobs:
    """A queue of jobs, and the thread that works on it.

    Args:
        most: number of jobs that may wait or run.
        on_end: called with each job that ends.
    """

    def __init__(self, most: int, on_end: Callable[[LearningJob], None]) -> None:
        self._most = most
        self._on_end = on_end
        self._jobs: dict[str, LearningJob] = {}
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[LearningJob | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="teachmesh-jobs", daemon=True)
        self._thread.start()

    def submit(self, task: str, work: Callable[[LearningJob], Mapping[str, Any]]) -> LearningJob:
        """Add a job.

        Raises:
            HttpRefusal: 429 if too many wait.
        """
        with self._lock:
            if self._unfinished() >= self._most:
                raise HttpRefusal(429, "expected fewer learning jobs; wait until one is done")
            job = LearningJob(secrets.token_hex(8), task, work)
            self._jobs[job.id] = job
            for old in [j.id for j in self._jobs.values() if j.state in FINISHED][:-KEPT]:
                del self._jobs[old]
        self._queue.put(job)
        return job

    def find(self, job_id: str) -> LearningJob:
        """Return a job.

        Raises:
            HttpRefusal: 404 if there is none of this id.
        """
        found = self._jobs.get(job_id)
        if found is None:
            raise HttpRefusal(404, "expected the id of a learning job; see GET /v1/jobs")
        return found

    def all(self) -> list[LearningJob]:
        """Return all jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def unfinished(self) -> int:
        """Return the number of jobs that wait or run."""
        with self._lock:
            return self._unfinished()

    def _unfinished(self) -> int:
        return sum(job.state not in FINISHED for job in self._jobs.values())

    def cancel(self, job_id: str) -> LearningJob:
        """Cancel a job; one that runs stops before its next batch of images.

        Raises:
            HttpRefusal: 404 if there is none of this id.
        """
        job = self.find(job_id)
        job.stop.set()
        return job

    def close(self) -> None:
        """Cancel all jobs, and wait for the running one to notice."""
        for job in self.all():
            job.stop.set()
        self._queue.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            _do(job)
            self._on_end(job)


def _do(job: LearningJob) -> None:
    """Do a job; its state changes last, after the result."""
    try:
        job.state = "running"
        job.result = job.work(job)
        state = "done"
    except JobCancelled:
        state = "cancelled"
    except TeachmeshError as error:
        job.error, state = body_of(error), "failed"
    # Any error must end the job, not the thread that works on all jobs.
    except Exception as error:  # noqa: BLE001
        text = f"an unexpected error, please report it: {type(error).__name__}: {error}"
        job.error, state = body_of(TeachmeshError(text)), "failed"
    job.state = state
