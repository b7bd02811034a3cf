"""Run several single-threaded forward passes at once, instead of one pass on all cores.

OpenMP threads that share a pass wait for each other at every layer. They also wait for other work
on their cores, especially decoding. A lane decodes its own images and runs them through the network
with one thread. Lanes never wait for each other, and latents do not depend on the number of cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

MAX_LANES = 8
"""Maximum number of lanes, as each holds a batch; with more cores, lanes get more threads."""


class Lanes:
    """Threads that run jobs in parallel and return the results in the order of the jobs.

    Args:
        count: number of lanes; 0 to run the jobs one by one in the calling thread. The default is
            the number of threads that torch would use for one forward pass
            (`torch.get_num_threads()`, which `OMP_NUM_THREADS` sets), at most `MAX_LANES`. A lane
            has one OpenMP thread, or an equal share if there are more threads than lanes.

    Attributes:
        count: number of lanes.

    Examples:
        >>> with Lanes(2) as lanes:
        ...     list(lanes.run(lambda i=i: i * i for i in range(4)))
        [0, 1, 4, 9]
    """

    def __init__(self, count: int | None = None) -> None:
        self._before = torch.get_num_threads()
        self.count = min(self._before, MAX_LANES) if count is None else count
        self._pool = self._start() if self.count else None

    @classmethod
    def over(cls, device: torch.device) -> Lanes:
        """Create the lanes for a device: the default number for the CPU, 0 for an accelerator."""
        return cls(None if device.type == "cpu" else 0)

    @classmethod
    def for_jobs(cls, n_jobs: int) -> Lanes:
        """Create lanes for some jobs; a single job runs in the calling thread, with equal bits.

        A new thread would cost an answer about one image several percent of its time.
        """
        if n_jobs > 1:
            return cls()
        alone = cls(0)
        torch.set_num_threads(max(1, alone._before // min(alone._before, MAX_LANES)))
        return alone

    def run(self, jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Yield the results of the jobs in order; a few jobs run ahead of the consumer."""
        if self._pool is None:
            yield from (job() for job in jobs)
            return
        waiting: deque[Future[T]] = deque()
        for job in jobs:
            waiting.append(self._pool.submit(job))
            if len(waiting) > 2 * self.count + 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        # The lanes also changed the matrix library's thread count and the default of later threads.
        torch.set_num_threads(self._before)

    def _start(self) -> ThreadPoolExecutor:
        share = max(1, self._before // self.count)
        ready = threading.Barrier(self.count + 1)
        pool = ThreadPoolExecutor(self.count, thread_name_prefix="teachmesh-lane")
        for _ in range(self.count):
            pool.submit(_set_threads, share, ready)
        ready.wait()
        return pool


def _set_threads(count: int, ready: threading.Barrier) -> None:
    torch.get_num_threads()  # a thread's first call sets the default, so call it first
    torch.set_num_threads(count)
    ready.wait()
