"""Limits of the HTTP interface, so that no caller can fill the memory or the disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WebLimits:
    """Limits of one server; a request beyond one of them gets 408, 413 or 429.

    Attributes:
        body_bytes: size of a request's body.
        files: number of files in one request.
        connections: connections at the same time; further ones are closed.
        head_s: seconds within which line and headers of a request must arrive.
        body_s: seconds within which a body must arrive.
        answer_s: seconds within which an answer must be ready.
        running: predictions and corrections that run at the same time.
        waiting: further ones that wait for their turn.
        jobs: learning jobs that wait for their turn.
        uploads: uploads of pictures that are open at the same time.
        upload_files: number of pictures of one upload.
        upload_bytes: size of all pictures of one upload.
        upload_idle_s: seconds after which an upload that nobody continues is deleted.
        streams: readers of events at the same time.
    """

    body_bytes: int = 20 << 20
    files: int = 64
    connections: int = 400
    head_s: float = 10.0
    body_s: float = 30.0
    answer_s: float = 60.0
    running: int = 4
    waiting: int = 32
    jobs: int = 8
    uploads: int = 8
    upload_files: int = 5000
    upload_bytes: int = 2 << 30
    upload_idle_s: float = 3600.0
    streams: int = 32
