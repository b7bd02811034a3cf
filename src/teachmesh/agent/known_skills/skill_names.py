"""Names of skills for people: unique display names, and the skill that a name stands for.

A name is `TASK[@ALIAS[@AUTHOR][@SKILL]]`. AUTHOR and SKILL are the first characters of an agent id
and of a skill id. Task names and aliases never contain `@`, so that no task name or alias can look
like the name of another skill.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from teachmesh.bank.entry import oldest_first
from teachmesh.data.names import shown
from teachmesh.packet.signing import agent_id
from teachmesh.trust.look_alikes import skeleton

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry

MIN_ID_PREFIX = 4
"""Minimum number of characters by which an id can be named."""
_AUTHOR_MARK = (9, 5)
"""Length of the shortest AUTHOR, "k7qm-2abc", and of the groups that are added if it is shared."""
_SKILL_MARK = (8, 4)
"""The same for SKILL, in hex digits; AUTHOR has a hyphen, so that the two are never equal."""
_LISTED = 8
"""Maximum number of names that an error message lists."""


def display_names(
    entries: Sequence[BankEntry], active_ids: Collection[str], pending: Collection[str] = ()
) -> dict[str, str]:
    """Return a display name for each skill, by id; all names differ.

    The names depend on the skills only, so that all agents with these skills show the same names:

    - `TASK`, if one active skill has this task name, and no skill of another author a look-alike;
    - otherwise `TASK@ALIAS`, followed by AUTHOR if names of several authors look alike, and by
      SKILL if the author has several active skills of this name;
    - `TASK@ALIAS@SKILL` for a replaced skill.

    Skills of pending authors do not change these names. Their own names are `TASK@ALIAS@AUTHOR`
    with the whole id, followed by SKILL if there are several.

    Args:
        entries: entries of all skills of a bank.
        active_ids: ids of the skills that are not replaced.
        pending: public keys of authors whose skills wait for a decision.
    """
    waiting = [entry for entry in entries if entry.author in pending]
    if waiting:
        known = [entry for entry in entries if entry.author not in pending]
        return display_names(known, active_ids) | _names_of_waiting(waiting)
    active = [entry for entry in entries if entry.id in active_ids]
    by_task = Counter(entry.task for entry in active)
    alike = look_alike_tasks(active)
    shared = {e.id for e in active if by_task[e.task] > 1 or skeleton(e.task) in alike}
    names: dict[str, str] = {}
    for group in _by_task_and_alias(entries):
        names |= _names_of_skills(group)
    for group in _grouped(
        (e for e in active if e.id in shared), lambda e: (skeleton(e.task), skeleton(e.alias))
    ):
        names |= _names_of_authors(group, names, skeleton(group[0].task) in alike)
    return names | {entry.id: entry.task for entry in active if entry.id not in shared}


def look_alike_tasks(entries: Iterable[BankEntry]) -> set[str]:
    """Return skeletons of task names that several authors spell differently."""
    spellings: dict[str, set[str]] = defaultdict(set)
    authors: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        spellings[skeleton(entry.task)].add(entry.task)
        authors[skeleton(entry.task)].add(entry.author)
    return {key for key in spellings if len(spellings[key]) > 1 and len(authors[key]) > 1}


def find_named(
    name: str,
    entries: Sequence[BankEntry],
    active_ids: Collection[str],
    own: str | None,
    pending: Collection[str] = (),
) -> list[BankEntry]:
    """Return the skills that a name stands for: one, unless the name is unknown or ambiguous.

    - A display name stands for its skill.
    - `TASK` or `TASK@ALIAS` stands for this agent's active skills of this name, or else for all
      active ones, or else for the newest version.
    - A name with ids stands for this agent's skills that it fits, or else for all.
    - Skills of pending authors count only if the name fits no other skill.

    Args:
        name: name of a skill, with as many of its parts as needed.
        entries: entries of all skills of a bank.
        active_ids: ids of the skills that are not replaced.
        own: public key of this agent; None if it has no key yet.
        pending: public keys of authors whose skills wait for a decision.
    """
    name = unicodedata.normalize("NFC", name)
    fitting = [entry for entry in entries if _fits(name, entry)]
    fitting = [entry for entry in fitting if entry.author not in pending] or fitting
    names = display_names(entries, active_ids, pending) if len(fitting) > 1 else {}
    if exact := [entry for entry in fitting if names.get(entry.id) == name]:
        return exact
    mine = {entry.id for entry in fitting if entry.author == own}
    if name.count("@") > 1:
        return _preferred(_preferred(fitting, mine), active_ids)
    found = _preferred(_preferred(fitting, active_ids), mine)
    return found if any(entry.id in active_ids for entry in found) else _newest(found)


def find_by_id(prefix: str, entries: Iterable[BankEntry]) -> list[BankEntry]:
    """Return the skills whose ids start with at least four characters."""
    if len(prefix) < MIN_ID_PREFIX:
        return []
    return [entry for entry in entries if entry.id.startswith(prefix.lower())]


def listed(names: Iterable[str]) -> str:
    """Return names for an error message, sorted, with a count instead of the last of many.

    Examples:
        >>> listed(["tiles@bob", "tiles@alice"])
        'tiles@alice, tiles@bob'
    """
    ordered = [shown(name) for name in sorted(names)]
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return ", ".join(ordered[:_LISTED]) + more


def _by_task_and_alias(entries: Iterable[BankEntry]) -> Iterable[list[BankEntry]]:
    return _grouped(entries, lambda entry: (entry.task, entry.alias))


def _grouped(
    entries: Iterable[BankEntry], key: Callable[[BankEntry], tuple[str, str]]
) -> Iterable[list[BankEntry]]:
    groups: dict[tuple[str, str], list[BankEntry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups.values()


def _names_of_skills(group: Sequence[BankEntry]) -> dict[str, str]:
    """Return `TASK@ALIAS@SKILL` for the skills with one task name and one alias, by id."""
    marks = _marks((entry.id for entry in group), *_SKILL_MARK)
    return {entry.id: f"{entry.task}@{entry.alias}@{marks[entry.id]}" for entry in group}


def _names_of_authors(
    group: Sequence[BankEntry], names: Mapping[str, str], with_author: bool
) -> dict[str, str]:
    """Return `TASK@ALIAS[@AUTHOR][@SKILL]` for active skills of look-alike tasks and aliases.

    Args:
        group: entries of these skills.
        names: names that end with SKILL, by id.
        with_author: whether to add AUTHOR even if there is one author only.
    """
    authors = {entry.id: agent_id(entry.author).lower() for entry in group}
    counts = Counter(authors.values())
    marks = _marks(counts, *_AUTHOR_MARK)
    found = {}
    for entry in group:
        author, parts = authors[entry.id], [entry.task, entry.alias]
        parts += [marks[author]] * (with_author or len(counts) > 1)
        parts += [names[entry.id].rpartition("@")[2]] * (counts[author] > 1)
        found[entry.id] = "@".join(parts)
    return found


def _names_of_waiting(entries: Sequence[BankEntry]) -> dict[str, str]:
    """Return `TASK@ALIAS@AUTHOR[@SKILL]` for skills of pending authors, by id."""
    found = {}
    for group in _by_task_and_alias(entries):
        names = _names_of_skills(group)
        counts = Counter(entry.author for entry in group)
        for entry in group:
            start, _, skill = names[entry.id].rpartition("@")
            parts = [start, agent_id(entry.author).lower()] + [skill] * (counts[entry.author] > 1)
            found[entry.id] = "@".join(parts)
    return found


def _preferred(found: list[BankEntry], ids: Collection[str]) -> list[BankEntry]:
    """Return the entries with these ids, or all entries if none has such an id."""
    return [entry for entry in found if entry.id in ids] or found


def _newest(versions: Sequence[BankEntry]) -> list[BankEntry]:
    """Return the newest version of a task; all of them if they are by several authors."""
    authors = {entry.author for entry in versions}
    return oldest_first(versions)[-1:] if len(authors) == 1 else list(versions)


def _marks(ids: Iterable[str], length: int, step: int) -> dict[str, str]:
    """Return the starts of ids, all of one length, that differ if the ids differ."""
    distinct = set(ids)
    while len({text[:length] for text in distinct}) < len(distinct):
        length += step
    return {text: text[:length] for text in distinct}


def _fits(name: str, entry: BankEntry) -> bool:
    """Return whether each part of a name fits a skill."""
    task, *rest = name.split("@")
    if task != entry.task or (rest and rest[0] != entry.alias):
        return False
    ids = (entry.id, agent_id(entry.author).lower()) if len(rest) > 1 else ()
    return all(
        len(mark) >= MIN_ID_PREFIX and any(text.startswith(mark.lower()) for text in ids)
        for mark in rest[1:]
    )
