"""Waits after failures grow, and end when a peer works again."""

from __future__ import annotations

from teachmesh.sharing.back_off import FIRST_WAIT_S, LONGEST_WAIT_S, PATIENCE, BackOff


class Clock:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s


def waits_s(back_off: BackOff, clock: Clock, agent_id: str, what: str) -> float:
    """Return the length of a wait, found by advancing the clock in steps of 1/8 s."""
    begin_s = clock.now_s
    while not back_off.may_ask(agent_id, what):
        clock.now_s += 0.125
    found_s, clock.now_s = clock.now_s - begin_s, begin_s
    return found_s


def test_a_wait_doubles_with_every_failure_up_to_a_minute() -> None:
    """1, 2, 4 ... 60, 60 seconds."""
    clock = Clock()
    back_off = BackOff(clock)
    found = []
    for _ in range(8):
        back_off.failed("liar", "x")
        found.append(waits_s(back_off, clock, "liar", "x"))
    assert found == [min(FIRST_WAIT_S * 2**n, LONGEST_WAIT_S) for n in range(8)]


def test_few_failures_concern_one_content_and_many_the_whole_peer() -> None:
    """Invented ids do not reset the waits of a lying peer, and other peers are not affected."""
    clock = Clock()
    back_off = BackOff(clock)
    for index in range(PATIENCE):
        back_off.failed("liar", f"invention {index}")
        assert back_off.may_ask("liar", "something else")
    back_off.failed("liar", "one more")
    assert waits_s(back_off, clock, "liar", "something else") == FIRST_WAIT_S
    assert waits_s(back_off, clock, "liar", "a list") == FIRST_WAIT_S
    assert back_off.may_ask("honest", "one more")


def test_a_good_skill_clears_a_peer_and_a_list_of_ids_does_not() -> None:
    """Any peer can invent a list."""
    back_off = BackOff(Clock())
    for _ in range(PATIENCE + 1):
        back_off.failed("peer", "x")
    back_off.succeeded("peer", "a list", is_skill=False)
    assert back_off.failures()["peer"] == PATIENCE + 1
    assert not back_off.may_ask("peer", "y")
    back_off.succeeded("peer", "z", is_skill=True)
    assert back_off.failures()["peer"] == 0
    assert back_off.may_ask("peer", "y")
    assert not back_off.may_ask("peer", "x")


def test_what_is_held_is_asked_of_nobody_until_it_is_released() -> None:
    """Peers are not blamed if a skill cannot be saved here."""
    clock = Clock()
    back_off = BackOff(clock)
    back_off.hold("x")
    assert waits_s(back_off, clock, "anybody", "x") == FIRST_WAIT_S
    assert back_off.may_ask("anybody", "y")
    back_off.release("x")
    assert back_off.may_ask("anybody", "x")


def test_a_peer_that_left_is_forgiven_and_what_is_long_over_is_dropped() -> None:
    """The tables do not grow forever, and peers that are present stay on record."""
    clock = Clock()
    back_off = BackOff(clock)
    for agent_id in ("left", "there"):
        back_off.failed(agent_id, "x")
    back_off.hold("y")
    back_off.forget({"there"})
    assert [back_off.may_ask(a, "x") for a in ("left", "there")] == [True, False]
    assert [back_off.failures()[a] for a in ("left", "there")] == [0, 1]
    assert not back_off.may_ask("there", "y")
    clock.now_s += FIRST_WAIT_S + LONGEST_WAIT_S
    back_off.forget({"there"})
    back_off.failed("there", "x")
    assert waits_s(back_off, clock, "there", "x") == FIRST_WAIT_S
