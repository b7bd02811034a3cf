"""Counts of requests, and the text that Prometheus reads at `/metrics`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any


class RequestCounts:
    """Counts since the start of the server; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._images = 0
        self._answers = 0
        self._answer_s = 0.0

    def count(self, method: str, status: int) -> None:
        """Count one answer by HTTP method and status."""
        known = method if method in {"GET", "POST", "DELETE", "HEAD"} else "OTHER"
        with self._lock:
            self._requests[known, status] += 1

    def count_answer(self, images: int, seconds: float) -> None:
        """Count one prediction: number of its images, and the seconds that it took."""
        with self._lock:
            self._images += images
            self._answers += 1
            self._answer_s += seconds

    def metrics(self) -> Iterator[str]:
        """Yield the lines of the counts in the text format of Prometheus."""
        with self._lock:
            requests = sorted(self._requests.items())
            answers, images, seconds = self._answers, self._images, self._answer_s
        yield from _head("http_requests_total", "counter", "Answered HTTP requests.")
        for (method, status), number in requests:
            labels = f'{{method="{method}",status="{status}"}}'
            yield f"teachmesh_http_requests_total{labels} {number}"
        yield from _value("images_total", "counter", "Images that were classified.", images)
        yield from _head("prediction_seconds", "summary", "Time of predictions in the workers.")
        yield f"teachmesh_prediction_seconds_sum {seconds:.6f}"
        yield f"teachmesh_prediction_seconds_count {answers}"


def metrics_text(
    counts: RequestCounts, status: Mapping[str, Any], stats: Mapping[str, Any], jobs: int
) -> str:
    """Return all metrics in the text format of Prometheus.

    Args:
        counts: counts of requests.
        status: document of `teachmesh status --json`.
        stats: last event `stats` of the node; empty without one.
        jobs: number of learning jobs that wait or run.
    """
    running = status["running"] or {}
    peers = running.get("peers", [])
    gauges = {
        "skills": ("Skills in the bank.", status["skills"]),
        "skills_usable": ("Skills that predictions use.", status["usable"]),
        "classes": ("Classes of the usable skills.", status["classes"]),
        "bank_bytes": ("Size of all skills.", status["size_bytes"]),
        "peers": ("Peers that were seen.", len(peers)),
        "peers_in_sync": ("Peers with the same skills.", sum(peer["in_sync"] for peer in peers)),
        "jobs": ("Learning jobs that wait or run.", jobs),
    }
    lines = [*counts.metrics()]
    for name, (text, value) in gauges.items():
        lines += _value(name, "gauge", text, value)
    lines += _traffic(stats)
    return "\n".join(lines) + "\n"


def _traffic(stats: Mapping[str, Any]) -> Iterator[str]:
    for name in ("bytes_sent", "bytes_received"):
        words = name.replace("_", " ").capitalize()
        yield from _value(f"{name}_total", "counter", f"{words} by sharing.", stats.get(name, 0))
    yield from _head("refused_total", "counter", "Skills of peers that were refused.")
    for reason, number in sorted(stats.get("refused", {}).items()):
        yield f'teachmesh_refused_total{{reason="{reason}"}} {number}'


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP teachmesh_{name} {text}"
    yield f"# TYPE teachmesh_{name} {kind}"


def _value(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, text)
    yield f"teachmesh_{name} {value}"
