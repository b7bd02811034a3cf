"""Combine classes of the bank into a new task, without images (`teachmesh combine`).

The head of the new task is the discriminant of the combined class moments. It can also consist of
old head rows, divided by their p-norm, as in the paper (Fig. 13).
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent.known_skills.replace_skill import check_alone, check_force, skill_to_replace
from teachmesh.bank.withheld import SharePolicy
from teachmesh.data.names import check_name, comparison_key, did_you_mean, shown
from teachmesh.errors import UsageError
from teachmesh.model.head import OldClasses
from teachmesh.model.macs import MacCounter
from teachmesh.packet.card import Card
from teachmesh.packet.card_rules import now
from teachmesh.packet.parent_card import Parent
from teachmesh.packet.skill import Skill
from teachmesh.reuse.combined_anchors import assemble, can_combine, check_method
from teachmesh.reuse.matching import Match
from teachmesh.reuse.source_skills import WITHOUT_IMAGE, SourceSkill, SourceSkills
from teachmesh.reuse.text_encoders import choose_encoder
from teachmesh.reuse.transfer import Transferred
from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.catalogue import Catalogue
    from teachmesh.agent.teaching.learning_agent import LearningAgent

Rows = tuple[tuple[Match, ...], ...]


@dataclass(frozen=True)
class Combination:
    """A combined skill, saved in the bank.

    Attributes:
        task: name of the task.
        skill_id: id of the skill.
        encoder: name of the text encoder, or "names" if none is used.
        classes: names of the classes, in label order.
        parents: for each class, the known classes that were averaged.
        size_bytes: size of the skill in bytes.
    """

    task: str
    skill_id: str
    encoder: str
    classes: tuple[str, ...]
    parents: Rows
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh combine --json` prints."""
        return {
            "schema": "teachmesh.combine/1",
            "task": self.task,
            "skill": self.skill_id,
            "encoder": self.encoder,
            "size_bytes": self.size_bytes,
            "classes": [
                {"class": name, "parents": [{**m.to_json(), "skill": m.skill_id} for m in row]}
                for name, row in zip(self.classes, self.parents, strict=True)
            ],
        }


def combine_known(
    agent: LearningAgent,
    name: str,
    classes: Sequence[str],
    *,
    tasks: Sequence[str] = (),
    encoder: str = "auto",
    rows: str | None = None,
    replace: bool = False,
    force: bool = False,
) -> Combination:
    """Combine classes of an agent's bank into a new task (Sec. 7.2, item 1), and save it.

    Args:
        agent: owner of the bank, which signs the skill.
        name: name of the new task.
        classes: names of at least two classes; `TASK:CLASS` selects the class of one task.
        tasks: known tasks to use; by default all.
        encoder: text encoder that compares class names, see `reuse.text_encoders.choose_encoder`.
        rows: norm that divides the old head rows that form the new head: "inf", "2" or "none";
            None for the discriminant of the combined class moments.
        replace: whether to replace this agent's skill of the same name.
        force: whether to replace it even if classes vanish.

    Raises:
        UsageError: a class, task or norm is unknown. A class occurs twice, or fewer than two are
            given. Skills of the method cannot be combined, or `replace` or `force` is needed.
        DataError: a name is invalid.
        MissingExtraError: the requested encoder is not installed.
    """
    started_s = time.perf_counter()
    check_method(agent.method, rows)
    name = check_name("task", name, as_file=True)
    check_force(replace=replace, force=force)
    old = skill_to_replace(
        agent.bank, agent.key.public_key, name, replace=replace, else_use="another name"
    )
    check_alone(agent.bank, agent.key.public_key, name)
    replaced = None if old is None else old.id
    sources = _Sources.of(agent, replaced)
    wanted = tuple(_Wanted.read(text, sources) for text in classes)
    _check_classes([one.name for one in wanted])
    named = {sources.named(task).skill_id for task in tasks}
    chosen = SourceSkills(sources.limited(named), choose_encoder(encoder), "text")
    found = _look_up(name, wanted, chosen, named)
    with MacCounter() as counter:
        anchor, head = assemble(agent.method, _parts(found, chosen.sources), len(wanted), rows)
    images = {source.skill_id: source.skill.card.images_per_class for source in chosen.sources}
    transferred = Transferred(
        {Parent(w.name, m.skill_id, m.class_name) for w, m in _pairs(wanted, found)}
    )
    card = Card(
        task=name,
        classes=tuple(one.name for one in wanted),
        images_per_class=tuple(sum(images[m.skill_id][m.label] for m in row) for row in found),
        validation_images=0,
        method=anchor.kind,
        anchors=(anchor.kind,),
        backbone_name=agent.backbone.name,
        backbone_fingerprint=agent.backbone.fingerprint,
        reference_id=agent.backbone.reference_id,
        validation_accuracy=None,
        cost_macs=int(counter.macs),
        cost_s=round(time.perf_counter() - started_s, 3),
        author=agent.key.public_key,
        alias=agent.alias,
        created=now(),
        privacy="statistics" if head is None else "samples",
        version=__version__,
        replaces=replaced,
        warnings=(WITHOUT_IMAGE, *transferred.remarks()),
        parents=transferred.sorted_parents(),
    )
    # Means of combined classes show no image that their sources do not show.
    policy = SharePolicy(agent.home.config.share, allow_few=True)
    entry = agent.save(Skill.of(card, [anchor], head), policy=policy, force=force)
    return Combination(name, entry.id, chosen.comparer.name, card.classes, found, entry.size_bytes)


@dataclass(frozen=True, eq=False)
class _Sources:
    """Skills that can be combined, and the task names by which they are found."""

    skills: tuple[SourceSkill, ...]
    catalogue: Catalogue
    own: str | None

    @classmethod
    def of(cls, agent: LearningAgent, replaced: str | None) -> _Sources:
        """Return the sources of an agent, without the skill that is replaced."""
        skills = (s for s in agent.sources() if can_combine(s, agent.method))
        kept = tuple(source for source in skills if source.skill_id != replaced)
        return cls(kept, agent.catalogue(), agent.own_author())

    def find(self, name: str) -> SourceSkill | None:
        """Return the skill that a task name stands for; None if there is none.

        Raises:
            UsageError: the name stands for several skills.
        """
        found = self.catalogue.named(name, self.own)
        if len(found) > 1:
            raise UsageError(self.catalogue.ambiguous(name, found))
        ids = {entry.id for entry in found}
        return next((source for source in self.skills if source.skill_id in ids), None)

    def named(self, name: str) -> SourceSkill:
        """Return the skill that a task name stands for.

        Raises:
            UsageError: the name stands for no skill that can be combined, or for several.
        """
        source = self.find(name)
        if source is None:
            near = did_you_mean(name, {source.task for source in self.skills})
            raise UsageError(
                f"expected a task of the bank that can be combined, got '{shown(name)}'{near}"
            )
        return source

    def limited(self, ids: set[str]) -> tuple[SourceSkill, ...]:
        """Return the skills with these ids, or all skills if no id is given."""
        return tuple(source for source in self.skills if not ids or source.skill_id in ids)


@dataclass(frozen=True)
class _Wanted:
    """A class of the new task, and the known task to take it from (None for any task)."""

    name: str
    task: SourceSkill | None = None

    @classmethod
    def read(cls, text: str, sources: _Sources) -> _Wanted:
        """Parse `TASK:CLASS` if the task exists; otherwise the whole text is a class name."""
        task, colon, name = unicodedata.normalize("NFC", text).partition(":")
        source = sources.find(task) if colon else None
        if source is None:
            return cls(check_name("class", text))
        return cls(check_name("class", name), source)

    def allows(self, skill_id: str) -> bool:
        """Return whether the class may come from a skill."""
        return self.task is None or self.task.skill_id == skill_id


def _check_classes(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise UsageError(f"expected at least two classes, got {len(names)}; name more of them")
    keys = [comparison_key(name) for name in names]
    twice = next((name for name, key in zip(names, keys, strict=True) if keys.count(key) > 1), None)
    if twice is not None:
        raise UsageError(f"expected every class once, got '{shown(twice)}' twice")


def _look_up(name: str, wanted: Sequence[_Wanted], chosen: SourceSkills, named: set[str]) -> Rows:
    """Return, for each new class, the known classes to combine.

    - Classes with equal names are always combined, even if the name is meaningless ("7").
    - Classes with other names are matched as in `match --by text`.
    - A combined task is used only if `named` has its id, or if no other task has the class.
      Otherwise the means of its parents would count twice.
    """
    combined = {s.skill_id for s in chosen.sources if s.without_image} - named
    report = chosen.match(name, [one.name for one in wanted], None)
    rows = []
    for one, matches in zip(wanted, report.matches, strict=True):
        found = {match.skill_id: match for match in matches}
        found |= {match.skill_id: match for match in _same_name(one.name, chosen.sources)}
        row = [match for match in found.values() if one.allows(match.skill_id)]
        if not row:
            raise UsageError(_unknown(one, chosen.sources))
        if one.task is None:
            row = [match for match in row if match.skill_id not in combined] or row
        rows.append(tuple(sorted(row, key=lambda match: (-match.score, match.skill_id))))
    return tuple(rows)


def _same_name(name: str, sources: Sequence[SourceSkill]) -> Iterator[Match]:
    key = comparison_key(name)
    for source in sources:
        for label, old in enumerate(source.classes):
            if comparison_key(old) == key:
                yield Match(source.skill_id, source.task, label, old, source.alias, 1.0, "text")


def _unknown(one: _Wanted, sources: Sequence[SourceSkill]) -> str:
    searched = [source for source in sources if one.allows(source.skill_id)]
    names = {name for source in searched for name in source.classes}
    where = "the bank" if one.task is None else f"task '{shown(one.task.task)}'"
    near = did_you_mean(one.name, names)
    return (
        f"expected a class of {where}, got '{shown(one.name)}'{near}; learn it from "
        "images, or list the classes with teachmesh skills show"
    )


def _pairs(wanted: Sequence[_Wanted], rows: Rows) -> Iterator[tuple[_Wanted, Match]]:
    return ((one, match) for one, row in zip(wanted, rows, strict=True) for match in row)


def _parts(rows: Rows, sources: Sequence[SourceSkill]) -> list[OldClasses[SourceSkill]]:
    """Return the classes to use from every known task, in canonical order."""
    parts = []
    for source in sources:
        pairs = [
            (i, m.label) for i, row in enumerate(rows) for m in row if m.skill_id == source.skill_id
        ]
        if pairs:
            new, old = np.array(pairs).T
            parts.append(OldClasses(source, old, new))
    return parts
