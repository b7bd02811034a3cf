"""Several forward passes beside each other, one thread each, instead of one that uses all cores.

Two OpenMP threads wait for each other at every layer, and for whatever else runs on their cores,
decoding first of all. A lane decodes its own images and runs them through the network with one
thread: nothing waits, and latents do not depend on the number of cores.
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
"""Every lane holds the activations of a batch; on larger machines lanes get several threads."""


class Lanes:
    """Threads that run jobs beside each other, results in the order of the jobs.

    Args:
        count: lanes; by default as many as torch would use threads for one forward pass
            (`torch.get_num_threads()`, which `OMP_NUM_THREADS` sets), at most `MAX_LANES`.
            A lane has one OpenMP thread, or its share where there are more threads than lanes.

    Attributes:
        count: lanes.

    Examples:
        >>> with Lanes(2) as lanes:
        ...     list(lanes.run(lambda i=i: i * i for i in range(4)))
        [0, 1, 4, 9]
    """

    def __init__(self, count: int | None = None) -> None:
        self._before = torch.get_num_threads()
        self.count = count or min(self._before, MAX_LANES)
        share = max(1, self._before // self.count)
        ready = threading.Barrier(self.count + 1)
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="teachmesh-lane")
        for _ in range(self.count):
            self._pool.submit(_set_threads, share, ready)
        ready.wait()

    def run(self, jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Results of the jobs, in their order; a few jobs run ahead of the consumer."""
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
        self._pool.shutdown(wait=True, cancel_futures=True)
        # A lane's setting is also that of its process's matrix library and of threads to come.
        torch.set_num_threads(self._before)


def _set_threads(count: int, ready: threading.Barrier) -> None:
    torch.get_num_threads()  # a thread's first question sets the default, which would undo ours
    torch.set_num_threads(count)
    ready.wait()
