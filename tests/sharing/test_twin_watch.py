"""Another agent with the same key is noticed; own announcements and old messages are not one."""

from __future__ import annotations

from teachmesh.sharing.peers import PEER_TIMEOUT_S
from teachmesh.sharing.twin_watch import REMEMBERED, TwinWatch


def test_own_announcements_are_no_twin_however_many() -> None:
    """Announcements that come back are known, also those that are no longer stored."""
    calls: list[None] = []
    watch = TwinWatch(lambda: calls.append(None))
    for sequence in range(100, 100 + REMEMBERED + 50):
        watch.sent(sequence)
        watch.note(sequence)
    for sequence in range(100, 140):
        watch.note(sequence)
    assert (calls, watch.is_present()) == ([], False)


def test_a_twin_is_reported_once_and_is_forgotten_after_silence() -> None:
    """One foreign announcement may be an old message; the second one is a twin."""
    calls: list[None] = []
    now_s = 0.0
    watch = TwinWatch(lambda: calls.append(None), clock=lambda: now_s)
    watch.sent(10)
    watch.note(7)
    watch.note(7)
    assert (len(calls), watch.is_present()) == (0, False)
    for sequence in (8, 9, 12):
        watch.note(sequence)
    assert (len(calls), watch.is_present()) == (1, True)
    now_s = PEER_TIMEOUT_S + 1
    assert not watch.is_present()
