"""Make the index of a bank agree with its files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress

from teachmesh.bank.entry import BankEntry
from teachmesh.bank.folder import SkillFolder
from teachmesh.bank.index import Index
from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode
from teachmesh.packet.limits import Limits
from teachmesh.packet.signing import verify


def tidy(index: Index, files: SkillFolder, limits: Limits) -> None:
    """Finish or undo the work of a killed process; this is fast if there is nothing to do.

    - Temporary files and the files of removed skills are deleted.
    - An entry is added for each skill file without one; a file with its final name is complete.
    - An entry without a file is dropped.
    """
    files.sweep()
    removed, present, listed = files.removed(), files.ids(), set(index.ids())
    for skill in removed & present:
        files.delete(skill)
    present -= removed
    add = read_entries(files, present - listed, limits)
    drop = listed - present
    if add or drop:
        index.update(add=add, drop=drop)


def drop_skill(index: Index, files: SkillFolder, skill: str) -> None:
    """Drop a skill and mark it, so that it is not fetched again. The caller holds the bank's lock.

    Raises:
        OSError, sqlite3.Error: the skill was not dropped.
    """
    try:
        files.mark_removed(skill)
        index.update(drop=[skill])
    except (OSError, sqlite3.Error):
        with suppress(OSError):
            files.unmark_removed(skill)
        raise
    # The skill is removed now; a remaining file is deleted at the next opening.
    with suppress(OSError):
        files.delete(skill)


def read_entries(
    files: SkillFolder, ids: Iterable[str], limits: Limits, *, move_damaged: bool = True
) -> list[BankEntry]:
    """Build the entries of skills from their files, in the order of `ids`.

    Args:
        files: the folder of the bank.
        ids: ids of the skills to read.
        limits: size limits; larger skills get no entry.
        move_damaged: whether to move files with a wrong hash to the folder of damaged files.

    Returns:
        Entries of the files that pass all checks. Intact files that fail a check, such as
        those of a newer version of teachmesh, stay in place without an entry.
    """
    entries = []
    for data in files.read_intact(ids, move_damaged=move_damaged):
        try:
            verified = verify(decode(data, limits))
        except SkillRefused:
            continue
        entries.append(BankEntry.of(verified))
    return entries
