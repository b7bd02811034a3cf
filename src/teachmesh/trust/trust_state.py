"""Content of a trust book: immutable, checked, and written as JSON with a checksum."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from teachmesh.errors import ConfigError, UsageError
from teachmesh.trust.policy import Policy, Standing, check_agent_id, check_policy

SCHEMA = "teachmesh.trust/1"
MAX_AGENTS = 10_000
"""Number of agents that a book can trust, and number that it can block."""
_NOBODY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class TrustState:
    """Decisions of the person who runs an agent.

    Attributes:
        policy: policy for strangers; None until one is chosen.
        trusted: time of the decision by id of each trusted agent.
        blocked: time of the decision by id of each blocked agent.
    """

    policy: Policy | None = None
    trusted: Mapping[str, str] = field(default_factory=lambda: _NOBODY)
    blocked: Mapping[str, str] = field(default_factory=lambda: _NOBODY)

    def standing(self, agent: str) -> Standing:
        """Return the standing of an agent id; an agent without a decision has the policy's."""
        if agent in self.blocked:
            return "blocked"
        return "trusted" if agent in self.trusted or self.policy in (None, "open") else "pending"

    def with_agent(self, agent: str, standing: Standing | None, time: str) -> TrustState:
        """Return the state after a decision about one agent; None makes it a stranger.

        Raises:
            UsageError: too many agents are trusted or blocked.
        """
        trusted = _changed(self.trusted, agent, standing == "trusted", time)
        blocked = _changed(self.blocked, agent, standing == "blocked", time)
        if max(len(trusted), len(blocked)) > MAX_AGENTS:
            raise UsageError(f"expected decisions about at most {MAX_AGENTS} agents; forget some")
        return replace(self, trusted=trusted, blocked=blocked)

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        content = self._content()
        document = {"schema": SCHEMA, "content": content, "sha256": _checksum(content)}
        return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode()

    def _content(self) -> dict[str, Any]:
        return {
            "policy": self.policy,
            "trusted": dict(self.trusted),
            "blocked": dict(self.blocked),
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
        return TrustState(
            None if policy is None else check_policy(policy),
            _mapping(content["trusted"], _checked_time),
            _mapping(content["blocked"], _checked_time),
        )
    except (ValueError, KeyError, TypeError, RecursionError, UsageError, AttributeError) as error:
        raise ConfigError("it is damaged, or a newer teachmesh wrote it") from error


def _changed(book: Mapping[str, str], agent: str, wanted: bool, time: str) -> Mapping[str, str]:
    """Return a mapping with or without an agent; an earlier decision keeps its time."""
    others = {key: value for key, value in book.items() if key != agent}
    return MappingProxyType(others | ({agent: book.get(agent, time)} if wanted else {}))


def _mapping(values: dict[str, Any], check: Callable[[Any], str]) -> Mapping[str, str]:
    return MappingProxyType({check_agent_id(key): check(value) for key, value in values.items()})


def _checked_time(text: Any) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9TZ:-]{20}", text):
        raise ValueError("expected a time")
    return text


def _checksum(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
