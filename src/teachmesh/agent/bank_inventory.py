"""How sharing sees an agent's bank: ids, bytes, and whether something was admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from teachmesh.errors import StorageError
from teachmesh.model.backbone_registry import reference_bytes

if TYPE_CHECKING:
    from teachmesh.agent.agent import Agent


class BankInventory:
    """The inventory that gossip works on: skills as bytes and ids, nothing else.

    Args:
        agent: whose bank it is.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def ids(self) -> frozenset[str]:
        """Ids of every skill that can be served."""
        return frozenset(self._agent.bank.ids())

    def digest(self) -> str:
        """Hash of the sorted ids."""
        return self._agent.bank.digest()

    def wants(self, skill_id: str) -> bool:
        """Whether a skill should be fetched: not one that was removed here on purpose."""
        return skill_id not in self._agent.bank.removed_ids()

    def read(self, skill_id: str) -> bytes | None:
        """The bytes of a skill; None if it is not here (any more) or damaged."""
        try:
            return self._agent.bank.get(skill_id)
        except StorageError:
            return None

    def admit(self, skill_id: str, data: bytes) -> None:
        """Check and save what a peer sent.

        Raises:
            SkillRefused: with the reason.
            StorageError: it cannot be saved now.
        """
        self._agent.receive(data, expected_id=skill_id)

    def blob(self, sha256: str) -> bytes | None:
        """A reference of one of this agent's backbones, by its hash."""
        return reference_bytes(self._agent.home.backbones, sha256)
