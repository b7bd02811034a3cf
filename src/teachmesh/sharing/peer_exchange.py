"""Base of exchanges that an agent repeats with its peers: of parts, and of quarantine lists."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from teachmesh.errors import StorageError
from teachmesh.sharing.peers import PeerTable
from teachmesh.sharing.runtime import Runtime

_log = logging.getLogger(__name__)
Desk = TypeVar("Desk")


@dataclass(eq=False)
class PeerExchange(ABC, Generic[Desk]):
    """Starts the requests that are due, again and again.

    Attributes:
        name: name of the content, for the log.
        step_s: seconds between two steps.
        desk: makes and reads requests and answers.
        runtime: clock, random numbers and requests.
        peers: peers heard from recently.
        on_received: called with the number of bytes of each answer.
        on_error: called with an unexpected error of an answer's handling.
    """

    name: ClassVar[str]
    step_s: ClassVar[float]
    desk: Desk
    runtime: Runtime
    peers: PeerTable
    on_received: Callable[[int], None]
    on_error: Callable[[BaseException], None]
    lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def step(self) -> float:
        """Start the requests that are due; return the seconds until the next step."""
        try:
            self.ask_peers()
        except StorageError as error:
            _log.warning("%s are exchanged later: %s", self.name, error)
        return self.step_s

    @abstractmethod
    def ask_peers(self) -> None:
        """Start the requests that are due.

        Raises:
            StorageError: the desk cannot read or write; the next step tries again.
        """
