"""Parts of an agent that work without loading the backbone: key, bank and catalogue.

Nothing here imports torch, so that `teachmesh status` and `teachmesh skills` are fast.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.argument_checks import checked
from teachmesh.agent.known_skills.catalogue import LIST_COMMAND, Catalogue, SkillInfo
from teachmesh.agent.known_skills.kept_statistics import KeptStatistics
from teachmesh.agent.known_skills.skill_fit import check_fit, latent_sizes, misfit
from teachmesh.agent.known_skills.skill_mapping import Exported, SkillMapping
from teachmesh.agent.known_skills.withdraw_skills import (
    Pruned,
    Withdrawal,
    choose_own,
    prune,
    withdraw,
)
from teachmesh.agent.known_skills.withhold_tasks import SharedTask, share_task, unshare_task
from teachmesh.agent.skill_faults import SkillFault
from teachmesh.bank.entry import forks
from teachmesh.bank.home import is_writable, open_to_read, resolve_home
from teachmesh.bank.known_lists import KnownLists
from teachmesh.bank.output_file import write_file
from teachmesh.bank.running import RunningFile, RunningLock
from teachmesh.bank.store import Bank
from teachmesh.bank.verdict_file import Verdict, VerdictFile
from teachmesh.bank.withheld import Withheld
from teachmesh.errors import SkillRefused, StorageError
from teachmesh.learning.variants import find_variant
from teachmesh.mapping.anchor_kinds import METHODS
from teachmesh.model.backbone_cards import fingerprint_of, known_fingerprints, licence_of
from teachmesh.packet.limits import DEFAULT_LIMITS
from teachmesh.packet.signing import AgentKey, VerifiedSkill, agent_id
from teachmesh.packet.tensor_layout import check_layout, check_values
from teachmesh.sharing.admission import Admission
from teachmesh.trust.policy import known_as
from teachmesh.trust.trust_book import TrustBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachmesh.bank.entry import BankEntry

_log = logging.getLogger(__name__)


class BankView:
    """Key and bank of a home, as used with one backbone and one task mapper.

    Args:
        home: folder of the agent; by default `TEACHMESH_HOME`, otherwise the user's data folder.
        backbone: alias of the backbone; by default the one in the home's settings.
        mapper: task mapper or variant, as for `Agent`; by default the one in the home's settings.
        bank: folder of a bank to use instead of the home's.
        reading: True to create nothing if the home is missing, and to write nothing if it is
            read-only.

    Raises:
        UsageError: the mapper is unknown.
        StorageError: the home cannot be used.

    Examples:
        >>> import tempfile
        >>> view = BankView(tempfile.mkdtemp())
        >>> view.infos(), view.status()["backbone"]
        ([], 'embedded')
    """

    @checked
    def __init__(
        self,
        home: str | Path | None = None,
        *,
        backbone: str | None = None,
        mapper: str | None = None,
        bank: Path | None = None,
        reading: bool = False,
    ) -> None:
        self.home = open_to_read(home) if reading else resolve_home(home)
        config = self.home.config
        folder = bank or self.home.bank
        self.trust = TrustBook(self.home.path, self.own_author)
        self.withheld = Withheld(self.home.path)
        read_only = reading and not is_writable(folder)
        self.bank = Bank(folder, read_only=read_only, authors=self.trust)
        self.variant = find_variant(mapper or config.method)
        self.method = self.variant.method
        self.backbone_name = backbone or config.backbone
        self.statistics = KeptStatistics(self.home.path)
        self._checked: dict[str, str] = {}
        self.learning = threading.RLock()
        """Held while a skill is made."""
        self.lock = threading.RLock()
        """Held while the agent reads or changes what it derived from its skills."""

    @cached_property
    def key(self) -> AgentKey:
        """The agent's signing key, created on first use."""
        return self.home.load_key()

    @property
    def id(self) -> str:
        """Short id of the agent, a hash of its public key."""
        return agent_id(self.key.public_key)

    @property
    def alias(self) -> str:
        """Display name of the agent, from its settings or its key, never from the host name."""
        return self.home.alias(self.key)

    def catalogue(self) -> Catalogue:
        """Return the catalogue of the bank for this backbone and mapper.

        Raises:
            BackboneError: the backbone is unknown (the message suggests the nearest) or damaged.
        """
        entries = self.bank.entries()
        return Catalogue(
            entries=entries,
            active_ids=frozenset(entry.id for entry in self.bank.active()),
            fingerprints=known_fingerprints(self.home.backbones),
            fingerprint=fingerprint_of(self.home.backbones, self.backbone_name),
            method=self.method,
            damaged=self._damaged(entries),
            latent_sizes=self.latent_sizes(),
            pending=self.bank.pending_authors(),
            forks=forks(self.bank.current()),
            is_stranger=self.trust.is_stranger,
            quarantined=self.quarantine_reasons(),
        )

    @cached_property
    def verdicts(self) -> VerdictFile:
        """The verdicts about the skills of this bank, for the backbone in use."""
        fingerprint = fingerprint_of(self.home.backbones, self.backbone_name)
        path = self.bank.folder / "verdicts" / f"{fingerprint[:16]}.json"
        return VerdictFile(path, read_only=self.bank.read_only)

    def quarantine(self) -> dict[str, Verdict]:
        """Return the verdicts about active skills in quarantine, by id.

        Only the mapper of class moments can screen skills; the others use them all.
        """
        if self.method != "moments":
            return {}
        held = self.verdicts.read().quarantined()
        active = {entry.id for entry in self.bank.active()} if held else set()
        return {skill: verdict for skill, verdict in held.items() if skill in active}

    def quarantine_reasons(self) -> dict[str, str]:
        """Return why active skills are in quarantine, one sentence each, by id."""
        return {skill: verdict.text for skill, verdict in self.quarantine().items()}

    def precedence(self, author: str) -> int:
        """Return the rank of an author, lower for higher precedence.

        This agent itself has 0, an author that a person trusts has 1, and everybody else has 2.
        """
        if author == self.own_author():
            return 0
        return 1 if self.trusts(author) else 2

    def trusts(self, author: str) -> bool:
        """Return whether a person trusts an author, other than by the policy."""
        return agent_id(author) in self.trust.state().trusted

    @cached_property
    def quarantine_lists(self) -> KnownLists:
        """The quarantine lists of this agent and of trusted ones."""
        return KnownLists(self.home.path / "quarantine.json")

    def doubted(self) -> frozenset[str]:
        """Return the ids of skills that trusted agents keep in quarantine."""
        lists = self.quarantine_lists.read().items()
        found = [one.skills for author, one in lists if self.trusts(author)]
        return frozenset().union(*found)

    def screening_state(self) -> tuple[object, ...]:
        """Return a value that differs after every change that the screening must see.

        It holds stamps of files only, because every answer looks at it.
        """
        return self.bank.version(), self.trust.stamp(), self.quarantine_lists.stamp()

    def quarantine_state(self) -> tuple[object, ...]:
        """Return a value that differs after every change that may change the quarantine."""
        return *self.screening_state(), self.verdicts.version()

    def latent_sizes(self) -> dict[str, int]:
        """Return the sizes of the backbone's latents by kind; empty if its card lacks them."""
        return latent_sizes(self.home.backbones, self.backbone_name)

    def _damaged(self, entries: Sequence[BankEntry]) -> dict[str, str]:
        """Return reasons by id for skills that this task mapper cannot use.

        Skills of another package's mapper may have come before the package was installed. Skills
        of the methods of teachmesh were checked completely when they came.
        """
        with self.lock:
            for entry in () if self.method in METHODS else entries:
                if self.method in entry.anchors and entry.id not in self._checked:
                    self._checked[entry.id] = self._fault(entry.id)
            return {skill_id: fault for skill_id, fault in self._checked.items() if fault}

    def _fault(self, skill_id: str) -> str:
        """Return why the task mapper cannot use a skill, or an empty text."""
        try:
            skill = self.bank.load(skill_id).skill
            check_layout(skill.shapes(), skill.card, DEFAULT_LIMITS)
            check_values(skill.tensors, skill.card, DEFAULT_LIMITS)
        except (SkillRefused, StorageError) as error:
            return f"the mapper {self.method!r} cannot use it: {error}"
        sizes = misfit(skill.latent_sizes(), self.latent_sizes())
        return sizes or ("" if skill.has_head else "carries no head, which its mapper needs")

    def set_aside(self, fault: SkillFault) -> None:
        """Let other skills answer, and show the reason in `skills`."""
        _log.warning("the skill %s is set aside: %s", fault.skill_id[:12], fault.reason)
        with self.lock:
            self._checked[fault.skill_id] = f"it fails in predictions: {fault.reason}"

    @cached_property
    def admission(self) -> Admission:
        """The checks that every received skill must pass."""
        backbones = self.home.backbones
        checks = (self._check_stranger, lambda verified: check_fit(verified, backbones))
        return Admission(lambda: known_fingerprints(backbones), checks)

    def _check_stranger(self, verified: VerifiedSkill) -> None:
        """Refuse the skill of a stranger if only invited authors may teach this agent.

        Raises:
            SkillRefused: STRANGER.
        """
        author = verified.skill.card.author
        if self.trust.policy == "invited" and self.trust.standing(author) == "pending":
            raise SkillRefused(
                "STRANGER",
                f"the author {known_as(verified.skill.card.alias, author)} was not invited; "
                f"to use its skills: teachmesh peers trust {agent_id(author)}",
            )

    @checked
    def receive(
        self,
        data: bytes,
        expected_id: str | None = None,
        check: Callable[[VerifiedSkill], None] | None = None,
    ) -> BankEntry:
        """Check a skill from another agent and save it.

        Args:
            data: the signed bytes.
            expected_id: the id that was requested; None for an imported file.
            check: last check, for skills from peers; its error is raised.

        Raises:
            SkillRefused: a check failed; `reason` is the code of the first failed check.
            StorageError: the skill cannot be saved.
        """
        verified = self.admission.check(expected_id, data)  # bytes -> verified skill
        if check is not None:
            check(verified)
        # Importing a file restores a skill that was removed here; a peer cannot restore it.
        entry = self.bank.put(verified, restore=expected_id is None)
        self.trust.pin(entry.alias, entry.author)
        return entry

    @property
    def skills(self) -> SkillMapping:
        """The active skills by name, such as `agent.skills["weather"]`."""
        return SkillMapping(self.find, self.active_infos)

    def infos(self) -> list[SkillInfo]:
        """Describe every skill of the bank, with the reason if predictions do not use it."""
        return self.catalogue().infos()

    def active_infos(self) -> list[SkillInfo]:
        """Describe the skills that no newer skill of their author replaces."""
        return [info for info in self.infos() if info.active]

    def pending_agents(self) -> frozenset[str]:
        """Return the ids of agents whose skills wait for a decision."""
        return frozenset(agent_id(author) for author in self.bank.pending_authors())

    def renew_identity(self) -> Path | None:
        """Give this agent a new key; the skills of the old identity stay in use.

        Returns:
            Path of the old key, which is kept; None if there was no key.

        Raises:
            ConfigError: an agent runs in this home.
            StorageError: the key cannot be moved.
        """
        old, alias = self.own_author(), self.home.config.alias
        kept = self.home.renew_key()
        if old is not None:
            self.trust.trust(old)
        self.__dict__.pop("key", None)
        if alias is not None:
            self.trust.pin(alias, self.key.public_key)
        return kept

    def unusable_reasons(self) -> list[str]:
        """Return sentences about the active skills that predictions do not use, with reasons."""
        held = self.quarantine()
        reasons = [
            f"{info.display_name}: {info.reason}"
            for info in self.active_infos()
            if not info.usable and info.id not in held
        ]
        if held:
            reasons.append(f"{len(held)} skills in quarantine, see: {LIST_COMMAND}")
        return reasons

    @checked
    def find(self, selector: str) -> SkillInfo:
        """Return the skill that a name or the start of an id stands for.

        A task name stands for this agent's own skill, or for the only skill with this name.

        Raises:
            DataError: no skill matches, or more than one does.
        """
        return self.catalogue().find(selector, self.own_author())

    def find_entry(self, selector: str) -> BankEntry:
        """Return the bank's entry of the skill that `find` describes; the errors are the same."""
        return self.catalogue().find_entry(selector, self.own_author())

    def own_author(self) -> str | None:
        """Return the public key of this agent; None if it has no key yet (none is created)."""
        key = self._own_key()
        return None if key is None else key.public_key

    @checked
    def card(self, skill_id: str) -> dict[str, Any]:
        """Return the card of a skill as a JSON object."""
        return self.bank.load(skill_id).skill.card.to_json()

    @checked
    def read(self, skill_id: str) -> bytes:
        """Return the signed bytes of a skill, as they are sent to peers."""
        return self.bank.get(skill_id)

    @checked
    def export(self, skill: str, path: str | Path | None = None) -> Exported:
        """Write a skill to a file that any agent can import: its signed bytes.

        Args:
            skill: name of the task, `task@author`, or the first characters of the id.
            path: file to write; by default the skill's name with the ending `.skill`.

        Raises:
            DataError: no skill has this name, or several have.
            StorageError: the skill is damaged, or the file cannot be written.
        """
        info = self.find(skill)
        target = Path(path) if path is not None else Path(f"{info.file_stem}.skill")
        data = self.read(info.id)
        write_file(target, data)
        return Exported(info.id, target, len(data))

    @checked
    def remove(self, skill_id: str) -> None:
        """Remove a skill from this agent only; peers keep it, and it is never fetched again.

        Private statistics of the skill are removed, too.
        """
        self.statistics.discard_of(self.bank, skill_id)
        self.bank.remove(skill_id)

    def withdraw(self, task: str) -> Withdrawal:
        """Withdraw a task of this agent everywhere; peers drop it as soon as they hear of it.

        Answers are then those of a bank that never had the task, bit for bit. The agent can learn
        the task again. Its files stay in this bank until `prune`.

        Args:
            task: name of the task, or the id of one version.

        Raises:
            DataError: no skill matches, or it was withdrawn before.
            UsageError: another agent is the author.
            StorageError: the withdrawal cannot be saved.
        """
        return withdraw(self.bank, self.key, self.choose_own(task))

    def choose_own(self, task: str) -> list[BankEntry]:
        """Return the versions that `withdraw` would withdraw; the errors are the same."""
        return choose_own(self.bank, self._own_key(), task, self.find_entry)

    def share_task(self, task: str, *, allow_few: bool = False) -> SharedTask:
        """Share a task that was withheld; see `withhold_tasks.share_task`."""
        return share_task(self, task, allow_few=allow_few)

    def unshare_task(self, task: str) -> SharedTask:
        """Send a task to nobody any more; see `withhold_tasks.unshare_task`."""
        return unshare_task(self, task)

    def prune(self) -> Pruned:
        """Delete the files of replaced and withdrawn skills; `restore` cannot bring them back.

        Raises:
            StorageError: a file cannot be deleted.
        """
        return prune(self.bank, self._own_key(), self.withheld.reasons())

    def _own_key(self) -> AgentKey | None:
        """Return the agent's key; None if it has none yet (none is created)."""
        return self.key if self.home.key_file.exists() else None

    def digest(self) -> str:
        """Return the hash of the sorted ids of trusted authors' skills, without withdrawn ones.

        Equal digests mean equal answers.
        """
        return self.bank.digest()

    def status(self) -> dict[str, Any]:
        """Return the document that `teachmesh status --json` prints."""
        infos = self.infos()
        exists = self.home.key_file.exists() or is_writable(self.home.bank)
        return {
            "schema": "teachmesh.status/1",
            "id": self.id if exists else None,
            "public_key": self.key.public_key if exists else None,
            "alias": self.alias if exists else None,
            "home": str(self.home.path),
            "backbone": self.backbone_name,
            "backbone_licence": licence_of(self.home.backbones, self.backbone_name),
            "method": self.method,
            "skills": len(self.bank.used_ids()),
            "pending": len(self.bank.ids()) - len(self.bank.used_ids()),
            "withheld": len(self.withheld.reasons().keys() & set(self.bank.ids())),
            "policy": self.trust.policy,
            "blocked": len(self.trust.state().blocked),
            "forks": len(set(forks(self.bank.current()).values())),
            "withdrawn": len(self.bank.withdrawals.ids()),
            "usable": sum(info.usable for info in infos),
            "classes": sum(info.n_classes for info in infos if info.usable),
            "size_bytes": sum(info.size_bytes for info in infos),
            "digest": self.digest(),
            "running": self.running(),
        }

    def running(self) -> dict[str, Any] | None:
        """Return the state of the running agent of this home; None if it does not run."""
        if not RunningLock(self.home.path).is_held():
            return None  # a killed agent leaves its state behind
        state = RunningFile(self.home.running).read(time.time())
        # An agent on a full disk cannot write its state.
        return state or {"endpoints": [], "peers": [], "twin": False, "faults": []}
