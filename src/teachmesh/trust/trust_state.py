"""Content of a trust book: immutable, checked, and written as JSON with a checksum."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from teachmesh.errors import ConfigError, UsageError
from teachmesh.trust.look_alikes import skeleton
from teachmesh.trust.policy import Policy, Standing, check_agent_id, check_policy

SCHEMA = "teachmesh.trust/1"
MAX_AGENTS = 10_000
"""Number of agents that a book can trust, and number that it can block."""
MAX_PINS = 4_096
MAX_PINS_PER_AGENT = 8
_NOBODY: Mapping[str, Note] = MappingProxyType({})


@dataclass(frozen=True)
class Note:
    """When an entry was made, and the alias at that time.

    Attributes:
        time: UTC time, such as "2026-11-23T11:00:00Z".
        alias: alias of the agent, for people; empty if it was not known.
    """

    time: str
    alias: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the note as a JSON object."""
        return {"time": self.time, "alias": self.alias}


@dataclass(frozen=True)
class TrustState:
    """Decisions of the person who runs an agent, and the owners of aliases.

    Attributes:
        policy: policy for strangers; None until one is chosen.
        trusted: notes by id of each trusted agent.
        blocked: notes by id of each blocked agent.
        pins: (agent id, note) by alias, for the first agent that used it or a look-alike.
    """

    policy: Policy | None = None
    trusted: Mapping[str, Note] = field(default_factory=lambda: _NOBODY)
    blocked: Mapping[str, Note] = field(default_factory=lambda: _NOBODY)
    pins: Mapping[str, tuple[str, Note]] = field(default_factory=lambda: MappingProxyType({}))

    def standing(self, agent: str) -> Standing:
        """Return the standing of an agent id; an agent without a decision has the policy's."""
        if agent in self.blocked:
            return "blocked"
        return "trusted" if agent in self.trusted or self.policy in (None, "open") else "pending"

    def with_agent(self, agent: str, standing: Standing | None, note: Note) -> TrustState:
        """Return the state after a decision about one agent; None makes it a stranger.

        A blocked agent loses its aliases. A trusted agent takes its alias from any stranger.

        Raises:
            UsageError: too many agents are trusted or blocked.
        """
        trusted = _changed(self.trusted, agent, standing == "trusted", note)
        blocked = _changed(self.blocked, agent, standing == "blocked", note)
        if max(len(trusted), len(blocked)) > MAX_AGENTS:
            raise UsageError(f"expected decisions about at most {MAX_AGENTS} agents; forget some")
        state = replace(self, trusted=trusted, blocked=blocked)
        if standing == "blocked":
            pins = {alias: pin for alias, pin in self.pins.items() if pin[0] != agent}
            return replace(state, pins=MappingProxyType(pins))
        return state.with_pin(agent, note) if standing == "trusted" and note.alias else state

    def with_pin(self, agent: str, note: Note, *, own: bool = False) -> TrustState:
        """Return the state after an agent used an alias; the first one keeps it.

        Only a trusted agent takes an alias from an agent that is not trusted. The number of aliases
        is limited; the oldest one of a stranger is forgotten.

        Args:
            agent: id of the agent.
            note: time and alias.
            own: whether the agent is the owner of this state, who may have any alias.
        """
        owner = self.owner(note.alias)
        keeps = owner is not None and not own and not self._outranks(agent, owner)
        if agent in self.blocked or owner == agent or keeps:
            return self
        skeleton_ = skeleton(note.alias)
        pins = {alias: pin for alias, pin in self.pins.items() if skeleton(alias) != skeleton_}
        if not own and sum(pin[0] == agent for pin in pins.values()) >= MAX_PINS_PER_AGENT:
            return self
        while len(pins) >= MAX_PINS:
            strangers = [alias for alias, pin in pins.items() if pin[0] not in self.trusted]
            del pins[min(strangers or pins, key=lambda alias: (pins[alias][1].time, alias))]
        pins[note.alias] = (agent, note)
        return replace(self, pins=MappingProxyType(pins))

    def _outranks(self, agent: str, owner: str) -> bool:
        return agent in self.trusted and owner not in self.trusted

    def owner(self, alias: str) -> str | None:
        """Return the agent that first used an alias or a look-alike; None if nobody did."""
        return self._owners.get(skeleton(alias))

    @cached_property
    def decisions(self) -> tuple[Policy, frozenset[str], frozenset[str]]:
        """Policy, trusted agents and blocked agents."""
        return self.policy or "open", frozenset(self.trusted), frozenset(self.blocked)

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        return {skeleton(alias): pin[0] for alias, pin in self.pins.items()}

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        content = self._content()
        document = {"schema": SCHEMA, "content": content, "sha256": _checksum(content)}
        return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode()

    def _content(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "trusted": {agent: note.to_json() for agent, note in self.trusted.items()},
            "blocked": {agent: note.to_json() for agent, note in self.blocked.items()},
            "pins": {
                alias: {"agent": agent, "time": note.time}
                for alias, (agent, note) in self.pins.items()
            },
        }


def decode_state(data: bytes) -> TrustState:
    """Read and check the bytes of a file.

    Raises:
        ConfigError: they are not those that `encode` wrote.
    """
    try:
        document = json.loads(data)
        content = document["content"]
        if document["schema"] != SCHEMA or document["sha256"] != _checksum(content):
            raise ValueError("wrong schema or checksum")
        policy = content["policy"]
        pins = {
            alias: (check_agent_id(pin["agent"]), Note(_checked_time(pin["time"]), alias))
            for alias, pin in content["pins"].items()
        }
        return TrustState(
            None if policy is None else check_policy(policy),
            _notes(content["trusted"]),
            _notes(content["blocked"]),
            MappingProxyType(pins),
        )
    except (ValueError, KeyError, TypeError, RecursionError, UsageError, AttributeError) as error:
        raise ConfigError("it is damaged, or a newer teachmesh wrote it") from error


def _changed(book: Mapping[str, Note], agent: str, wanted: bool, note: Note) -> Mapping[str, Note]:
    """Return a mapping with or without an agent; an earlier decision keeps its time."""
    others = {key: value for key, value in book.items() if key != agent}
    if not wanted:
        return MappingProxyType(others)
    earlier = book.get(agent, note)
    kept = Note(earlier.time, note.alias or earlier.alias)
    return MappingProxyType(others | {agent: kept})


def _notes(values: dict[str, Any]) -> Mapping[str, Note]:
    return MappingProxyType(
        {
            check_agent_id(agent): Note(_checked_time(note["time"]), str(note["alias"]))
            for agent, note in values.items()
        }
    )


def _checked_time(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9TZ:-]{20}", text):
        raise ValueError("expected a time")
    return text


def _checksum(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
