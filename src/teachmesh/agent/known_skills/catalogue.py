"""Descriptions of a bank's skills, such as the display name and why a skill is not used."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.skill_fit import lacks_head, misfit
from teachmesh.agent.known_skills.skill_names import display_names, find_by_id, find_named, listed
from teachmesh.data.names import closest, shown
from teachmesh.errors import DataError
from teachmesh.mapping.own_anchors import is_installed
from teachmesh.packet.signing import agent_id
from teachmesh.trust.look_alikes import skeleton
from teachmesh.trust.policy import known_as

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry

LIST_COMMAND = "teachmesh skills quarantine list"


@dataclass(frozen=True)
class SkillInfo:
    """Description of one skill of the bank.

    Attributes:
        id: SHA-256 of the skill's bytes, 64 hex digits.
        task: name that the author gave the task.
        display_name: unique name, the task's name if possible, see `skill_names.display_names`.
        method: method with which the skill was learned.
        anchors: kinds of the skill's anchors.
        n_classes: number of classes.
        author: agent id of the author.
        alias: alias of the author.
        size_bytes: size of the file.
        created: UTC time of creation.
        usable: whether predictions use the skill.
        reason: one sentence that explains why the skill is not usable; empty if it is usable.
        active: whether its author neither replaced nor withdrew the skill.
        remark: warning about the names of the skill; empty if there is none.
    """

    id: str
    task: str
    display_name: str
    method: str
    anchors: tuple[str, ...]
    n_classes: int
    author: str
    alias: str
    size_bytes: int
    created: str
    usable: bool
    reason: str
    active: bool = True
    remark: str = ""

    @property
    def file_stem(self) -> str:
        """Name for a file of the skill, without separators and special shell characters."""
        return re.sub(r"[^\w@.-]+", "_", self.display_name).strip("._") or self.id[:12]

    def to_json(self) -> dict[str, Any]:
        """Return the skill as a JSON object."""
        return {**asdict(self), "anchors": list(self.anchors)}


@dataclass(frozen=True)
class Catalogue:
    """All skills of a bank, as used with one backbone and one task mapper.

    Attributes:
        entries: entries of all skills of the bank, in canonical order.
        active_ids: ids of the skills that their author neither replaced nor withdrew.
        fingerprints: mapping from the fingerprint of each of this agent's backbones to its alias.
        fingerprint: fingerprint of the backbone in use.
        method: the task mapper in use.
        damaged: reasons by id for skills whose content the task mapper cannot use.
        latent_sizes: sizes of the backbone's latents by kind; sizes that are missing are unknown.
        pending: public keys of authors whose skills wait for a decision.
        forks: ids of skills that lost against another one of their author, by `entry.forks`.
        is_stranger: returns whether an alias (first argument) belongs to another author than the
            second argument.
        quarantined: reasons by id for skills in quarantine.
    """

    entries: Sequence[BankEntry]
    active_ids: frozenset[str]
    fingerprints: Mapping[str, str]
    fingerprint: str
    method: str
    damaged: Mapping[str, str] = field(default_factory=dict)
    latent_sizes: Mapping[str, int] = field(default_factory=dict)
    pending: Collection[str] = frozenset()
    forks: Mapping[str, str] = field(default_factory=dict)
    is_stranger: Callable[[str, str], bool] = lambda _alias, _author: False
    quarantined: Mapping[str, str] = field(default_factory=dict)

    def infos(self) -> list[SkillInfo]:
        """Return all skills, sorted by display name."""
        names = self.display_names()
        infos = [self._info(entry, names[entry.id]) for entry in self.entries]
        return sorted(infos, key=lambda info: (info.display_name, info.id))

    def usable(self) -> list[BankEntry]:
        """Return the entries of the skills that predictions use, in canonical order."""
        return [entry for entry in self.entries if not self._reason(entry)]

    def matchable(self) -> list[BankEntry]:
        """Return the entries of skills whose classes can be matched, whatever their anchors."""
        return [
            entry
            for entry in self.entries
            if not self._foreign(entry) and entry.id not in self.quarantined
        ]

    def unmatchable_reasons(self) -> list[str]:
        """Return, for each active skill that cannot be matched, a sentence with the reason."""
        names = self.display_names()
        return [
            f"{names[entry.id]}: {self._foreign(entry)}"
            for entry in self.entries
            if entry.id in self.active_ids and self._foreign(entry)
        ]

    def find(self, selector: str, own: str | None = None) -> SkillInfo:
        """Return the skill that a name or the start of an id stands for.

        Args:
            selector: task name, display name (see `skill_names`) or start of an id.
            own: public key of this agent, whose skills come before those of other authors.

        Raises:
            DataError: no skill matches, or more than one does; the message suggests names.
        """
        entry = self.find_entry(selector, own)
        return self._info(entry, self.display_names()[entry.id])

    def find_entry(self, selector: str, own: str | None = None) -> BankEntry:
        """Return the entry of the skill that `find` describes; the errors are the same."""
        by_id = [entry for entry in self.entries if entry.id == selector]
        found = by_id or self.named(selector, own) or find_by_id(selector, self.entries)
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(self.ambiguous(selector, found))
        names = self.display_names()
        active = [names[entry.id] for entry in self.entries if entry.id in self.active_ids]
        nearest = closest(selector, active)
        hint = f"did you mean {nearest!r}?" if nearest else "see: teachmesh skills list"
        raise DataError(f"expected a known task or skill id, got {selector!r}; {hint}")

    def named(self, name: str, own: str | None = None) -> list[BankEntry]:
        """Return the skills that a name stands for; see `skill_names.find_named`."""
        return find_named(name, self.entries, self._naming_ids(), own, self.pending)

    def ambiguous(self, name: str, found: Sequence[BankEntry]) -> str:
        """Return a sentence with the display names of the skills that a name fits."""
        names = self.display_names()
        choices = listed(names[entry.id] for entry in found)
        return f"expected one skill, '{shown(name)}' fits {len(found)}: name one of {choices}"

    def _info(self, entry: BankEntry, display_name: str) -> SkillInfo:
        reason = self._reason(entry)
        return SkillInfo(
            id=entry.id,
            task=entry.task,
            display_name=display_name,
            method=entry.method,
            anchors=entry.anchors,
            n_classes=entry.n_classes,
            author=agent_id(entry.author),
            alias=entry.alias,
            size_bytes=entry.size_bytes,
            created=entry.created,
            usable=not reason,
            reason=reason,
            active=entry.id in self.active_ids,
            remark=self._remark(entry),
        )

    def _remark(self, entry: BankEntry) -> str:
        """Return a warning about the names of a skill, or an empty text."""
        remarks = []
        if self.is_stranger(entry.alias, entry.author):
            remarks.append("a stranger: another agent used this alias, or one that looks alike")
        if entry.id in self.forks.values():
            remarks.append("its author also signed another version, see: teachmesh skills history")
        twins = self._alike.get(skeleton(entry.task), ())
        if entry.id in self.active_ids:
            others = (e for e in twins if e.task != entry.task and e.author != entry.author)
            remarks += [f"looks like the task {known_as(e.alias, e.author)} taught" for e in others]
        return "; ".join(remarks[:2])

    @cached_property
    def _alike(self) -> Mapping[str, list[BankEntry]]:
        """Active skills by the skeleton of their task names."""
        found: dict[str, list[BankEntry]] = defaultdict(list)
        for entry in self.entries:
            if entry.id in self.active_ids:
                found[skeleton(entry.task)].append(entry)
        return found

    def _reason(self, entry: BankEntry) -> str:
        if reason := self._foreign(entry):
            return reason
        if held := self.quarantined.get(entry.id):
            return f"quarantined: {held}; see: {LIST_COMMAND}"
        if self.method in entry.anchors:
            return self.damaged.get(entry.id, "") or lacks_head(entry, self.method)
        if not is_installed(entry.method):
            return (
                f"learned with the mapper {entry.method!r}, which is not installed here; install "
                "its package and use it with --method"
            )
        return f"carries no {self.method} anchor (it has {', '.join(entry.anchors)})"

    def _foreign(self, entry: BankEntry) -> str:
        """Return why no mapper can use a skill, or an empty text if a mapper can use it."""
        if entry.id in self.forks:
            return (
                f"its author signed another version in its place ({self.forks[entry.id][:12]}); "
                f"see: teachmesh skills history {entry.id[:12]}"
            )
        if entry.id not in self.active_ids:
            if self._is_withdrawn(entry):
                return "withdrawn by its author"
            return "replaced by a newer skill of its author"
        if entry.author in self.pending:
            return (
                f"waits until you trust its author: teachmesh peers trust {agent_id(entry.author)}"
            )
        if entry.backbone_fingerprint != self.fingerprint:
            known = self.fingerprints.get(entry.backbone_fingerprint)
            made_with = f"backbone {known}" if known else "a backbone that is not here"
            return f"made with {made_with} ({entry.backbone_fingerprint[:12]})"
        return misfit(entry.latent_sizes, self.latent_sizes)

    def _is_withdrawn(self, entry: BankEntry) -> bool:
        """Return whether no active skill replaced this one, in one step or more."""
        newer = {(e.author, e.replaces): e for e in self.entries if e.replaces}
        found: BankEntry | None = entry
        while found is not None and found.id not in self.active_ids:
            found = newer.get((found.author, found.id))
        return found is None

    def display_names(self) -> dict[str, str]:
        """Return display names by id, which all differ; see `skill_names.display_names`."""
        return display_names(self.entries, self._naming_ids(), self.pending)

    def _naming_ids(self) -> frozenset[str]:
        """Return the ids of active skills without those in quarantine, which take no name away."""
        return self.active_ids - self.quarantined.keys()
