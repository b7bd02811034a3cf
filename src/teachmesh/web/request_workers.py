"""Threads that predict and correct, so that the server itself always answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.web_limits import WebLimits

T = TypeVar("T")


class RequestWorkers:
    """A few threads with a short queue; a request beyond the queue gets 429.

    All methods but `close` are called in the thread of the server.

    Args:
        limits: number of threads, length of the queue, and deadline of an answer.
    """

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.running, thread_name_prefix="teachmesh-web")
        self._places = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function in a thread, and return its result.

        Raises:
            HttpRefusal: 429 if the queue is full, 504 if the result takes too long. The thread
                then still finishes its work, and its place is free only afterwards.
        """
        if self._places >= self._limits.running + self._limits.waiting:
            raise HttpRefusal(
                429, "expected fewer requests at the same time; try again in a second"
            )
        self._places += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(work)
        future.add_done_callback(lambda done: self._free_from(loop, done))
        try:
            result = asyncio.shield(asyncio.wrap_future(future))
            return await asyncio.wait_for(result, self._limits.answer_s)
        except asyncio.TimeoutError:
            future.cancel()
            raise HttpRefusal(
                504, f"expected an answer within {self._limits.answer_s:g} s; send fewer images"
            ) from None

    def _free_from(self, loop: asyncio.AbstractEventLoop, done: Future[T]) -> None:
        del done
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._free)

    def _free(self) -> None:
        self._places -= 1

    def close(self) -> None:
        """Drop the requests that wait; running ones finish."""
        self._pool.shutdown(wait=False, cancel_futures=True)
