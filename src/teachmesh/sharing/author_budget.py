"""Limits for the skills of one author that come from peers."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from teachmesh.errors import SkillDeferred, SkillRefused

BURST = 200
SKILLS_PER_S = 1.0
MAX_SKILLS_PER_AUTHOR = 2_000
MAX_SKILLS = 20_000
MAX_BYTES_PER_AUTHOR = 4_000_000_000
MAX_PENDING = 1_000
MAX_PENDING_PER_AUTHOR = 100
MAX_PENDING_BYTES = 1_000_000_000
LONGEST_WAIT_S = 600.0
_MAX_AUTHORS = 1024


@dataclass
class _Account:
    saved: float
    at_s: float
    waiting: int = 0


class AuthorBudget:
    """Number of skills that each author may add, per second and in all.

    An author may add 200 skills at once, then one per second. Skills that come too soon are put
    off, not refused, so that a long history of an honest author arrives completely.

    Args:
        clock: function that returns a time in seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def check_size(self, author: str, skills: int, size_bytes: int, total: int) -> None:
        """Check the sizes of a bank before one more skill of an author is added.

        Args:
            author: public key of the author.
            skills: number of the author's skills in the bank.
            size_bytes: size of these skills in bytes.
            total: number of the skills of all authors.

        Raises:
            SkillRefused: a limit is reached (LIMIT).
        """
        if skills >= MAX_SKILLS_PER_AUTHOR or size_bytes >= MAX_BYTES_PER_AUTHOR:
            raise SkillRefused(
                "LIMIT",
                f"the author {author[:12]} has {skills} skills here "
                f"({size_bytes / 1e6:.0f} MB); remove some with `teachmesh skills remove`, "
                "or import this one from a file",
            )
        if total >= MAX_SKILLS:
            raise SkillRefused(
                "LIMIT",
                f"this bank has {total} skills; remove some with `teachmesh skills remove`, "
                "or import this one from a file",
            )

    def check_pending(self, author: str, skills: int, pending: int, size_bytes: int) -> None:
        """Check the limits of strangers, who may invent as many identities as they like.

        Args:
            author: public key of a stranger.
            skills: number of the stranger's skills in the bank.
            pending: number of the skills of all strangers.
            size_bytes: size of these skills in bytes.

        Raises:
            SkillRefused: a limit is reached (LIMIT).
        """
        if (
            skills >= MAX_PENDING_PER_AUTHOR
            or pending >= MAX_PENDING
            or size_bytes >= MAX_PENDING_BYTES
        ):
            raise SkillRefused(
                "LIMIT",
                f"{pending} skills of strangers wait here, {skills} of them by {author[:12]}; "
                "decide with `teachmesh peers trust` or `teachmesh peers block`, see: "
                "teachmesh peers pending",
            )

    def spend(self, author: str) -> None:
        """Count one more skill of an author.

        Raises:
            SkillDeferred: too many skills of this author came within a short time.
        """
        now_s = self._clock()
        with self._lock:
            account = self._accounts.setdefault(author, _Account(BURST, now_s))
            self._accounts.move_to_end(author)
            if len(self._accounts) > _MAX_AUTHORS:
                self._accounts.popitem(last=False)
            earned = (now_s - account.at_s) * SKILLS_PER_S
            account.saved, account.at_s = min(account.saved + earned, BURST), now_s
            if account.saved >= 1:
                account.saved -= 1
                account.waiting = max(0, account.waiting - 1)
                return
            account.waiting += 1
            wait_s = min(account.waiting / SKILLS_PER_S, LONGEST_WAIT_S)
        raise SkillDeferred(
            wait_s,
            f"more than {BURST} skills of the author {author[:12]} came at once; the others are "
            f"fetched later, about {SKILLS_PER_S:g} per second",
        )
