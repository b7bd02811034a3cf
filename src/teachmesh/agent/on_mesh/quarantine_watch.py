"""Screening of new skills while an agent runs, and the events about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from teachmesh.packet.signing import agent_id

if TYPE_CHECKING:
    from teachmesh.agent.answers.synced_agent import SyncedAgent
    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.verdict_file import Verdict


class QuarantineWatch:
    """Screens new skills of a running agent, and tells what changed.

    Args:
        agent: the agent.
    """

    def __init__(self, agent: SyncedAgent) -> None:
        self._agent = agent
        self._held: dict[str, Verdict] = {}
        self._seen: tuple[object, ...] | None = None

    def news(self) -> list[tuple[str, dict[str, str]]]:
        """Return events and their details: skills that are quarantined, or released since.

        Raises:
            StorageError: the bank or the verdicts cannot be read or written.
        """
        state = self._agent.quarantine_state()
        if state == self._seen:
            return []
        self._agent.screen()
        self._seen = state  # changes during the screening are seen next time
        before, self._held = self._held, self._agent.quarantine()
        entries = {entry.id: entry for entry in self._agent.bank.active()}
        found = []
        for skill in sorted((before.keys() ^ self._held.keys()) & entries.keys()):
            about = event_items(entries[skill])
            if (verdict := self._held.get(skill)) is None:
                found.append(("released", about))
            else:
                reasons = {"reason": verdict.code, "message": verdict.text}
                found.append(("quarantined", about | reasons | {"against": verdict.against}))
        return found


def event_items(entry: BankEntry) -> dict[str, str]:
    """Return the items of an event that name a skill: task, skill id, alias and author's id."""
    author = agent_id(entry.author)
    return {"task": entry.task, "skill": entry.id, "alias": entry.alias, "author": author}
