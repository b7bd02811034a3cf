"""The events of an agent in its home: bounded, followed by other processes, and never torn."""

from __future__ import annotations

import os
import threading
from itertools import islice
from pathlib import Path

import pytest

from teachmesh.bank.event_file import EventFile


def numbers(events: list[dict[str, object]]) -> list[object]:
    """Numbers of events."""
    return [event["n"] for event in events]


def test_the_files_stay_small_and_keep_the_newest_events(tmp_path: Path) -> None:
    """Two files of 4 KB hold the last events without a gap."""
    file = EventFile(tmp_path, max_bytes=4000)
    for n in range(500):
        file.append({"event": "x", "n": n})
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) < 4100
    kept = numbers(file.last(10_000))
    assert kept == list(range(500 - len(kept), 500))
    assert len(kept) > 70
    assert numbers(file.last(3)) == [497, 498, 499]
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_a_follower_reads_each_event_once_also_over_a_new_file(tmp_path: Path) -> None:
    """Old events are limited; later ones come without a gap while files are replaced."""
    file = EventFile(tmp_path, max_bytes=1000)
    for n in range(5):
        file.append({"event": "x", "n": n})
    left, spare = iter(range(5, 205)), iter(range(100))
    found: list[object] = []

    def wait(_seconds: float) -> bool:
        for n in islice(left, 7):
            file.append({"event": "x", "n": n})
        return len(found) >= 202 or next(spare, None) is None

    for event in EventFile(tmp_path).follow(2, wait):
        found.append(event["n"])  # noqa: PERF401 - `wait` reads the list meanwhile
    assert found == [3, 4, *range(5, 205)]


def test_a_follower_waits_for_a_home_without_events_and_skips_torn_lines(tmp_path: Path) -> None:
    """The file may come later; a line without an end is read when it is complete."""
    path, steps = tmp_path / "events.jsonl", threading.Semaphore(0)
    parts = [b'{"event": "a", "n": 1}\n{"eve', b'nt": "b", "n": 2}\nnonsense\n[]\n', b""]

    def wait(_seconds: float) -> bool:
        if not parts:
            return True
        with path.open("ab") as stream:
            stream.write(parts.pop(0))
        steps.release()
        return False

    assert numbers(list(EventFile(tmp_path).follow(5, wait))) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "ftruncate"), reason="needs a POSIX system")
def test_a_full_disk_loses_events_that_are_counted_and_nothing_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next event states how many were lost before it."""
    file = EventFile(tmp_path)
    file.append({"event": "x", "n": 1})
    whole = os.write
    monkeypatch.setattr("os.write", lambda d, data: whole(d, data[:5]))
    file.append({"event": "x", "n": 2})

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    file.append({"event": "x", "n": 3})
    monkeypatch.setattr("os.write", whole)
    file.append({"event": "x", "n": 4})
    file.append({"event": "x", "n": 5})
    events = file.last(9)
    assert numbers(events) == [1, 4, 5]
    assert [event.get("lost_before") for event in events] == [None, 2, None]
