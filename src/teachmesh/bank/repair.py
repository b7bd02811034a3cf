"""Bringing the index in line with the files; the caller holds the bank's lock."""

from __future__ import annotations

from collections.abc import Iterable

from teachmesh.bank.entry import BankEntry
from teachmesh.bank.folder import SkillFolder
from teachmesh.bank.index import Index
from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode
from teachmesh.packet.limits import Limits
from teachmesh.packet.signing import verify


def tidy(index: Index, files: SkillFolder, limits: Limits) -> None:
    """Finish or undo what a killed process began; costs two listings when nothing is amiss.

    Temporary files go. A skill that was removed here loses its file. A file without an entry was
    complete when it got its name, so it gets its entry; an entry without a file goes.
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


def read_entries(
    files: SkillFolder, ids: Iterable[str], limits: Limits, *, move_damaged: bool = True
) -> list[BankEntry]:
    """Read the entries of skills from their files, in the order of ids.

    Args:
        files: where they are.
        ids: which ones.
        limits: what is refused for its size.
        move_damaged: move files that do not hash to their names to the damaged ones.

    Returns:
        Entries of the whole, signed and readable ones. A whole file that is refused, for example
        one of a newer teachmesh, stays where it is and is not listed.
    """
    entries = []
    for skill in sorted(ids):
        data = files.read_whole(skill)
        if data is None:
            if move_damaged:
                files.quarantine(skill)
            continue
        try:
            signed = decode(data, limits)
            verify(signed)
        except SkillRefused:
            continue
        entries.append(BankEntry.of(signed, len(data)))
    return entries
