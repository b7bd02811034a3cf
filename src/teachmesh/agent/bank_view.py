"""Who an agent is and what its bank holds, for people: the part that needs no backbone."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

from teachmesh.bank.running import RunningFile
from teachmesh.packet.signing import AgentKey, agent_id

if TYPE_CHECKING:
    from teachmesh.agent.catalogue import Catalogue, SkillInfo
    from teachmesh.bank.home import Home
    from teachmesh.bank.store import Bank


class BankView(ABC):
    """A home with a key and a bank, seen with one backbone and one task mapper.

    Args:
        home: folder of the agent.
        bank: the skills that it holds.
        method: the task mapper in use.
        backbone_name: alias of the backbone in use.
    """

    def __init__(self, home: Home, bank: Bank, *, method: str, backbone_name: str) -> None:
        self.home = home
        self.bank = bank
        self.method = method
        self.backbone_name = backbone_name

    @abstractmethod
    def catalogue(self) -> Catalogue:
        """The bank as seen with this agent's backbone and task mapper."""

    @cached_property
    def key(self) -> AgentKey:
        """The agent's signing key; made on first use."""
        return self.home.load_key()

    @property
    def id(self) -> str:
        """Short id of the agent, a hash of its public key."""
        return agent_id(self.key.public_key)

    @property
    def alias(self) -> str:
        """Name for people, from the home's configuration or the key; never from the machine."""
        return self.home.alias(self.key)

    def skills(self) -> list[SkillInfo]:
        """Every skill of the bank, and why one is not used if so."""
        return self.catalogue().infos()

    def unusable_reasons(self) -> list[str]:
        """One sentence per active skill that takes no part in predictions."""
        catalogue = self.catalogue()
        return [
            f"{info.display_name}: {info.reason}"
            for info in catalogue.infos()
            if not info.usable and info.id in catalogue.active_ids
        ]

    def find(self, selector: str) -> SkillInfo:
        """The skill of a task name, `task@alias` or the beginning of an id.

        Raises:
            DataError: none or several fit.
        """
        return self.catalogue().find(selector)

    def card(self, skill_id: str) -> dict[str, Any]:
        """The card of a skill as a JSON object."""
        return self.bank.load(skill_id).skill.card.to_json()

    def read(self, skill_id: str) -> bytes:
        """The signed bytes of a skill, as they travel."""
        return self.bank.get(skill_id)

    def remove(self, skill_id: str) -> None:
        """Remove a skill from this agent only; peers keep theirs, and it is not fetched again."""
        self.bank.remove(skill_id)

    def digest(self) -> str:
        """Hash of the sorted ids of the bank: equal digests mean equal agents."""
        return self.bank.digest()

    def status(self) -> dict[str, Any]:
        """The document of `teachmesh status --json`."""
        infos = self.skills()
        return {
            "schema": "teachmesh.status/1",
            "id": self.id,
            "alias": self.alias,
            "home": str(self.home.path),
            "backbone": self.backbone_name,
            "method": self.method,
            "skills": len(infos),
            "usable": sum(info.usable for info in infos),
            "classes": sum(info.n_classes for info in infos if info.usable),
            "size_bytes": sum(info.size_bytes for info in infos),
            "digest": self.digest(),
            "running": RunningFile(self.home.running).read(time.time()),
        }
