"""Decorators for methods of an agent that several threads use, or that one skill can make fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar, cast

from teachmesh.agent.skill_faults import SkillFault
from teachmesh.errors import StorageError

if TYPE_CHECKING:
    from teachmesh.bank.store import Bank

P = ParamSpec("P")
R = TypeVar("R")
ViewT = TypeVar("ViewT", bound="Guarded")
RETRIES = 8
"""Number of damaged skills that may be found during one answer."""
CHANGES = 3
"""Number of changes of skills during one answer after which the agent's lock is held."""


class Guarded(Protocol):
    """An agent with locks, such as a `BankView`."""

    bank: Bank
    lock: RLock
    learning: RLock

    def set_aside(self, fault: SkillFault) -> None:
        """Let other skills answer."""


def one_at_a_time(work: Callable[P, R]) -> Callable[P, R]:
    """Run a method of an agent that saves skills in one thread at a time."""

    @wraps(work)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        agent = cast("Guarded", args[0])
        with agent.learning:
            return work(*args, **kwargs)

    return alone


class SkillsChanged(Exception):
    """Another thread changed the agent's skills while an answer was computed."""


def answered_again(
    answer: Callable[Concatenate[ViewT, P], R],
) -> Callable[Concatenate[ViewT, P], R]:
    """Call a method again if it failed because of one skill, or because the skills changed.

    The bank sets a damaged skill aside when the skill is loaded. The agent sets a skill aside
    whose content fails. The other skills then answer. If the skills change often, the last try
    holds the agent's lock.
    """

    @wraps(answer)
    def again(agent: ViewT, /, *args: P.args, **kwargs: P.kwargs) -> R:
        damaged = changed = 0
        while True:
            version = agent.bank.version()
            try:
                with agent.lock if changed > CHANGES else nullcontext():
                    return answer(agent, *args, **kwargs)
            except SkillsChanged:
                changed += 1
            except SkillFault as fault:
                agent.set_aside(fault)  # ends, because each skill fails once at most
            except StorageError:
                damaged += 1
                if damaged > RETRIES or agent.bank.version() == version:
                    raise

    return again
