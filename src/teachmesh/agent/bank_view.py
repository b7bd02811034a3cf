"""A home with its key, bank and catalogue: everything about an agent that needs no network.

Nothing here imports torch, so that `teachmesh status` and `teachmesh skills` answer in a moment.
"""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.catalogue import Catalogue, SkillInfo
from teachmesh.bank.home import resolve_home
from teachmesh.bank.running import RunningFile
from teachmesh.bank.store import Bank
from teachmesh.learning.variants import find_variant
from teachmesh.model.backbone_cards import fingerprint_of, known_fingerprints, licence_of
from teachmesh.packet.signing import AgentKey, agent_id
from teachmesh.sharing.admission import Admission

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry


class BankView:
    """The key and the bank of a home, seen with one backbone and one task mapper.

    Args:
        home: folder of the agent; default `TEACHMESH_HOME`, else the user's data folder.
        backbone: alias of the backbone; default the home's.
        mapper: task mapper or variant, as `Agent` takes it; default the home's.
        bank: folder of another bank than the home's.

    Raises:
        UsageError: an unknown mapper.
        StorageError: the home cannot be used.

    Examples:
        >>> import tempfile
        >>> view = BankView(tempfile.mkdtemp())
        >>> view.skills(), view.status()["backbone"]
        ([], 'embedded')
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        backbone: str | None = None,
        mapper: str | None = None,
        bank: Path | None = None,
    ) -> None:
        self.home = resolve_home(home)
        config = self.home.config
        self.bank = Bank(bank or self.home.bank)
        self.variant = find_variant(mapper or config.method)
        self.method = self.variant.method
        self.backbone_name = backbone or config.backbone

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

    def catalogue(self) -> Catalogue:
        """The skills of the bank, marked with whether this backbone and mapper can use them.

        Raises:
            BackboneError: the backbone is unknown (names the nearest) or damaged.
        """
        return Catalogue(
            entries=self.bank.entries(),
            active_ids=frozenset(entry.id for entry in self.bank.active()),
            fingerprints=known_fingerprints(self.home.backbones),
            fingerprint=fingerprint_of(self.home.backbones, self.backbone_name),
            method=self.method,
        )

    @cached_property
    def admission(self) -> Admission:
        """The checks that every received skill goes through."""
        return Admission(lambda: known_fingerprints(self.home.backbones))

    def receive(self, data: bytes, expected_id: str | None = None) -> BankEntry:
        """Check a skill from another agent and save it.

        Args:
            data: the signed bytes.
            expected_id: the id that was requested; None for a file that a person imports.

        Raises:
            SkillRefused: with the reason of the first check that failed.
            StorageError: the skill cannot be saved.
        """
        verified = self.admission.check(expected_id, data)  # bytes -> verified skill
        # A person who imports a file restores a skill that was removed here; a peer does not.
        return self.bank.put(verified, restore=expected_id is None)

    def skills(self) -> list[SkillInfo]:
        """Every skill of the bank, and the reason if one is not used."""
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
            DataError: none or several match.
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
            "backbone_licence": licence_of(self.home.backbones, self.backbone_name),
            "method": self.method,
            "skills": len(infos),
            "usable": sum(info.usable for info in infos),
            "classes": sum(info.n_classes for info in infos if info.usable),
            "size_bytes": sum(info.size_bytes for info in infos),
            "digest": self.digest(),
            "running": RunningFile(self.home.running).read(time.time()),
        }
