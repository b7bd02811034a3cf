"""Time, randomness and background work of sharing, so that a simulation can replace them.

Sharing reads no clock and starts no thread itself. `ThreadRuntime` runs jobs and requests in
threads; a simulation runs both in virtual time, one after another.
"""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import SimpleQueue

from teachmesh.sharing.transport import Transport

Done = Callable[[bytes | None], None]
"""Receives the answer to a request, or None if there was none; called exactly once."""


class Job(ABC):
    """Work that is repeated until the runtime is closed."""

    @abstractmethod
    def wake(self) -> None:
        """Run the work soon instead of after its delay; returns at once."""


class Runtime(ABC):
    """Clock, random numbers and background work.

    Attributes:
        random: source of random numbers; it decides between equal holders.
    """

    random: random.Random

    @abstractmethod
    def now_s(self) -> float:
        """Return the time in seconds of a clock that never goes back."""

    @abstractmethod
    def job(self, name: str, step: Callable[[], float]) -> Job:
        """Add a job; it runs from `start` on.

        Args:
            name: name of the job, for people.
            step: does the work once, and returns the seconds to wait before the next time. It must
                not raise; see `supervisor.Supervisor.supervised`.
        """

    @abstractmethod
    def start(self) -> None:
        """Start all jobs."""

    @abstractmethod
    def request(self, agent_id: str, kind: str, key: str, timeout_s: float, done: Done) -> None:
        """Request content from a peer, and pass the answer to `done` later.

        Raises:
            RuntimeError: the request cannot be started, for example because there are no threads.
        """

    @abstractmethod
    def close(self, deadline_s: float) -> None:
        """End all jobs; wait for them and for running requests until a time of `now_s`."""


class ThreadRuntime(Runtime):
    """One thread per job and per running request; threads of ended requests are used again.

    Args:
        transport: connection to the peers.
        on_error: called, from any thread, with an unexpected error of a request.
    """

    def __init__(
        self, transport: Transport, on_error: Callable[[BaseException], None] = lambda _: None
    ) -> None:
        self.random = random.Random()
        self._transport = transport
        self._on_error = on_error
        self._stopping = threading.Event()
        self._jobs: list[ThreadJob] = []
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._idle = 0

    def now_s(self) -> float:
        """Return the monotonic clock of this machine."""
        return time.monotonic()

    def job(self, name: str, step: Callable[[], float]) -> Job:
        """Add a job that runs in its own thread."""
        made = ThreadJob(name, step, self._stopping)
        self._jobs.append(made)
        return made

    def start(self) -> None:
        """Start the threads of all jobs."""
        for job in self._jobs:
            job.thread.start()

    def request(self, agent_id: str, kind: str, key: str, timeout_s: float, done: Done) -> None:
        """Run a request in an idle thread, or in a new one if there is none."""
        with self._lock:
            is_new, self._idle = self._idle == 0, max(0, self._idle - 1)
        if is_new:
            self._add_worker()
        self._queue.put(lambda: done(self._answer(agent_id, kind, key, timeout_s)))

    def _answer(self, agent_id: str, kind: str, key: str, timeout_s: float) -> bytes | None:
        """Return the answer of a peer; None if the request failed, so that `done` is called."""
        try:
            return self._transport.request(agent_id, kind, key, timeout_s)
        except Exception as error:  # noqa: BLE001 - reported; a request without end uses a place
            self._on_error(error)
            return None

    def _add_worker(self) -> None:
        name = f"teachmesh-request-{len(self._workers)}"
        worker = threading.Thread(target=self._work, name=name, daemon=True)
        worker.start()
        with self._lock:
            self._workers.append(worker)

    def _work(self) -> None:
        while (request := self._queue.get()) is not None:
            try:
                request()
            except Exception as error:  # noqa: BLE001 - reported; the thread serves others
                self._on_error(error)
            with self._lock:
                self._idle += 1

    def close(self, deadline_s: float) -> None:
        """Stop the jobs, and wait for all threads until the deadline."""
        self._stopping.set()
        with self._lock:
            threads = list(self._workers)
        for _ in threads:
            self._queue.put(None)
        for job in self._jobs:
            job.wake()
            threads.append(job.thread)
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline_s - self.now_s()))


class ThreadJob(Job):
    """A job in a thread of its own.

    Args:
        name: name of the job.
        step: see `Runtime.job`.
        stopping: set when the job must end.
    """

    def __init__(self, name: str, step: Callable[[], float], stopping: threading.Event) -> None:
        self.thread = threading.Thread(target=self._run, name=f"teachmesh-{name}", daemon=True)
        self._step = step
        self._stopping = stopping
        self._awake = threading.Event()

    def wake(self) -> None:
        """Run the work soon."""
        self._awake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            self._awake.wait(self._step())
