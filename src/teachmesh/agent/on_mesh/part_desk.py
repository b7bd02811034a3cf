"""The desk at which an agent gives parts to, and takes parts from, those that share a task."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.skill_fit import latent_sizes
from teachmesh.errors import SkillRefused, TeachmeshError
from teachmesh.model.backbone_cards import known_fingerprints
from teachmesh.packet.canonical import dump_canonical, parse_strict
from teachmesh.packet.part import Part, read_part
from teachmesh.packet.roster import Roster, read_roster
from teachmesh.packet.sealing import SealedLine
from teachmesh.packet.signed_statement import HEX_64
from teachmesh.packet.signing import agent_id

if TYPE_CHECKING:
    from teachmesh.agent.teaching.learning_agent import LearningAgent

_log = logging.getLogger(__name__)
MEMBER_INTERVAL_S = 2.0
"""Longest pause between requests to agents that share a task with this one."""
AUTHOR_INTERVAL_S = 20.0
"""The same for other authors of skills here, who may have invited this agent."""
LEARNING_WAIT_S = 1.0
LIST_BYTES = 8 << 20
OFFERED = 8192
"""Number of parts that other agents may request at a time."""
_LIST = "list"
_SCHEMA = "teachmesh.part-list/1"


class AgentPartDesk:
    """The parts of an agent, for `sharing.part_exchange`.

    Only agents that the owner of a task invited get its roster. Only those of them that have
    contributed a part, and the owner, get the parts. Nothing of an own task that is withheld from
    peers is sent.

    Args:
        agent: owner of the bank.
        on_event: called with the name and the details of an event.
    """

    def __init__(self, agent: LearningAgent, on_event: Callable[..., None]) -> None:
        self._agent = agent
        self._on_event = on_event
        self._lock = threading.RLock()
        self._version: object = None
        self._settled: object = None
        self._partners: frozenset[str] = frozenset()
        self._authors: frozenset[str] = frozenset()
        self._lines: dict[tuple[str, bool], SealedLine | None] = {}
        self._askers: dict[str, str] = {}
        self._offered: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._refused: dict[str, str] = {}
        self._reported = ""

    def interval_s(self, author: str) -> float | None:
        """Return the longest pause between two requests to a peer; None to ask it nothing."""
        self._refresh()
        if self._is_blocked(author):
            return None
        if author in self._partners:
            return MEMBER_INTERVAL_S
        return AUTHOR_INTERVAL_S if author in self._authors else None

    def list_request(self, author: str) -> str:
        """Return the request for a peer's list."""
        return self._line_from(author).request(_LIST)

    def part_request(self, author: str, part: str) -> str:
        """Return the request for a part."""
        return self._line_from(author).request(part)

    def answer(self, request: str) -> bytes | None:
        """Return the answer to a request; None if nobody may ask so."""
        self._refresh()
        with self._lock:
            asker, offered = self._askers.get(request), self._offered.get(request)
        if asker is not None:
            return self._answer_list(asker)
        return None if offered is None else self._answer_part(*offered)

    def take_list(self, author: str, answer: bytes) -> list[str]:
        """Save the rosters that name this agent; return the ids of missing parts."""
        content = self._line_from(author).open(_LIST, answer)
        if content is None:
            return []
        try:
            rosters, parts = _read_list(content)
            for roster in rosters:
                self._take_roster(roster)
        except SkillRefused as error:
            _log.warning("the list of parts of %s is refused: %s", agent_id(author), error)
            return []
        held = {entry.id for entry in self._agent.bank.parts.entries()}
        return [part for part in parts if part not in held and part not in self._refused]

    def take_part(self, author: str, part: str, answer: bytes) -> bool:
        """Check and save a part from a peer; return whether it was saved."""
        data = self._line_from(author).open(part, answer)
        if data is None or hashlib.sha256(data).hexdigest() != part:
            return False
        try:
            found = read_part(data)
            self._check(found)
            entry = self._agent.bank.parts.add(found)
        except SkillRefused as error:
            self._refused[part] = error.reason
            self._on_event("refused", skill=part, reason=error.reason, message=str(error))
            return False
        name, images = entry.facts.task, entry.facts.images
        self._on_event("part", task=name, part=part, author=agent_id(entry.author), images=images)
        return True

    def settle(self) -> None:
        """Delete withdrawn parts, and publish own tasks whose parts have changed.

        An error is reported as an event, and the work is tried again after the next change.
        """
        version = self._agent.bank.version()
        if version == self._settled:
            return
        self._settled = version
        try:
            self._agent.bank.parts.sweep()
            if self._agent.bank.parts.rosters():
                self._publish()
        except TeachmeshError as error:
            if str(error) != self._reported:
                self._reported = str(error)
                self._on_event("error", message=str(error), exit_code=error.exit_code)

    def _publish(self) -> None:
        # Imported here because it loads torch, which most agents need for other work only.
        from teachmesh.agent.teaching.shared_tasks import publish

        if not self._agent.learning.acquire(timeout=LEARNING_WAIT_S):
            self._settled = None  # a task is being learned; try again soon
            return
        try:
            made = publish(self._agent)
        finally:
            self._agent.learning.release()
        for entry in made:
            card = self._agent.bank.load(entry.id).skill.card
            self._on_event(
                "saved",
                task=entry.task,
                skill=entry.id,
                size_bytes=entry.size_bytes,
                validation_accuracy=card.validation_accuracy,
                wall_s=card.cost_s,
            )

    def _check(self, part: Part) -> None:
        if self._is_blocked(part.author):
            raise SkillRefused("AUTHOR", f"the agent {agent_id(part.author)} is blocked here")
        from teachmesh.learning.part_checks import read_part_statistics

        backbones, fingerprint = self._agent.home.backbones, part.facts.fingerprint
        name = known_fingerprints(backbones).get(fingerprint)
        dim = None if name is None else latent_sizes(backbones, name).get("multi")
        if dim is None:
            raise SkillRefused(
                "BACKBONE", f"the part of {part.facts.task!r} was made with an unknown backbone"
            )
        read_part_statistics(part, dim)

    def _is_blocked(self, author: str) -> bool:
        return self._agent.trust.standing(author) == "blocked"

    def _take_roster(self, roster: Roster) -> None:
        """Save a roster that names this agent, of a task whose skill is in the bank."""
        shelf = self._agent.bank.parts
        aliases = {(e.author, e.task): e.alias for e in self._agent.bank.entries()}
        if self._is_blocked(roster.owner) or roster.task not in aliases:
            return
        if not roster.admits(self._agent.key.public_key):
            return
        is_new = shelf.roster(roster.task) is None
        if shelf.add_roster(roster) and is_new and roster.owner != self._agent.key.public_key:
            name = f"{roster.facts.task}@{aliases[roster.task]}"
            self._on_event("contributor", task=name, owner=agent_id(roster.owner))

    def _shared_with(self, asker: str) -> list[Roster]:
        """Return the rosters of the tasks that this agent and another one may share."""
        own = self._agent.key.public_key
        rosters = [] if self._is_blocked(asker) else self._agent.bank.parts.rosters()
        shared = [roster for roster in rosters if roster.admits(asker) and roster.admits(own)]
        return [roster for roster in shared if roster.task not in self._withheld_tasks()]

    def _withheld_tasks(self) -> set[tuple[str, str]]:
        """Return owner and name of each own task with a version that peers do not get."""
        own, withheld = self._agent.key.public_key, self._agent.withheld.reasons()
        entries = self._agent.bank.current() if withheld else ()
        return {(own, e.task) for e in entries if e.author == own and e.id in withheld}

    def _parts_for(self, asker: str) -> list[str]:
        """Return the ids of the parts that another agent may have."""
        found: list[str] = []
        for roster in self._shared_with(asker):
            parts = self._agent.bank.parts.live(roster.task)
            holders = {part.author for part in parts} | set(roster.facts.parts.values())
            if asker in holders | {roster.owner}:
                found += [part.id for part in parts]
        return found

    def _answer_list(self, asker: str) -> bytes | None:
        line = self._line_to(asker)
        rosters, parts = self._shared_with(asker), self._parts_for(asker)
        if line is None or not rosters:
            return None
        with self._lock:
            for part in parts:
                self._offered[line.request(part)] = (asker, part)
                self._offered.move_to_end(line.request(part))
            while len(self._offered) > OFFERED:
                self._offered.popitem(last=False)
        texts = [roster.data.decode() for roster in rosters]
        document = {"schema": _SCHEMA, "rosters": texts, "parts": parts}
        return line.seal(_LIST, dump_canonical(document).encode())

    def _answer_part(self, asker: str, part: str) -> bytes | None:
        line = self._line_to(asker)
        if line is None or part not in self._parts_for(asker):
            return None  # withdrawn, or the asker is excluded by now
        found = self._agent.bank.parts.load(part)
        return None if found is None else line.seal(part, found.data)

    def _refresh(self) -> None:
        """Find out who may ask and be asked, after a change of the bank."""
        bank, own = self._agent.bank, self._agent.key.public_key
        version = bank.version()
        with self._lock:
            if version == self._version:
                return
            shared = [roster for roster in bank.parts.rosters() if roster.admits(own)]
            members = {roster.owner for roster in shared}
            members |= {key for roster in shared for key in roster.facts.members}
            self._partners = frozenset(members - {own})
            self._authors = frozenset({entry.author for entry in bank.active()} - {own})
            lines = {other: self._line_to(other) for other in sorted(self._partners)}
            self._askers = {
                line.request(_LIST): other for other, line in lines.items() if line is not None
            }
            self._version = version

    def _line_to(self, other: str) -> SealedLine | None:
        """Return the line on which this agent answers; None if the other key is unusable."""
        return self._line(other, answers=True)

    def _line_from(self, other: str) -> SealedLine:
        """Return the line on which another agent answers.

        Raises:
            SkillRefused: its key is unusable.
        """
        line = self._line(other, answers=False)
        if line is None:
            raise SkillRefused("VALUE", f"the key {other[:12]} cannot be used for sealing")
        return line

    def _line(self, other: str, *, answers: bool) -> SealedLine | None:
        with self._lock:
            if (other, answers) not in self._lines:
                own = self._agent.key
                answered_by = own.public_key if answers else other
                try:
                    made = SealedLine(own, other, answered_by=answered_by)
                except SkillRefused:
                    self._lines[other, answers] = None
                else:
                    self._lines[other, answers] = made
            return self._lines[other, answers]


def _read_list(content: bytes) -> tuple[list[Roster], list[str]]:
    """Read the list of another agent, which may contain anything.

    Raises:
        SkillRefused: it is no such list.
    """
    if len(content) > LIST_BYTES:
        raise SkillRefused("LIMIT", f"expected a list of at most {LIST_BYTES} bytes")
    try:
        values: Any = parse_strict(content.decode("utf-8"), "list of parts", brackets=4)
    except UnicodeDecodeError as error:
        raise SkillRefused("FORMAT", "the list of parts is not UTF-8") from error
    if not isinstance(values, dict) or values.get("schema") != _SCHEMA:
        raise SkillRefused("SCHEMA", f"expected a list of parts of schema {_SCHEMA!r}")
    rosters, parts = values.get("rosters"), values.get("parts")
    if not isinstance(rosters, list) or not isinstance(parts, list):
        raise SkillRefused("SCHEMA", "expected rosters and parts in the list of parts")
    if not all(isinstance(text, str) for text in (*rosters, *parts)):
        raise SkillRefused("VALUE", "expected texts in the list of parts")
    if not all(HEX_64.fullmatch(part) for part in parts):
        raise SkillRefused("VALUE", "expected ids of parts")
    return [read_roster(text.encode()) for text in rosters], parts
