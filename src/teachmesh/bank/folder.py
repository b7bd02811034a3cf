"""The files of a bank: skills, damaged files, and marks for removed skills.

    skills/<id>.safetensors    one file per skill, named by its SHA-256
    damaged/<id>.safetensors   files whose hash differs from their name, kept for inspection
    removed/<id>               empty file; marks a removed skill, which is not fetched again

Ids consist of hexadecimal digits only, so no untrusted text is part of a path.
"""

from __future__ import annotations

import re
from pathlib import Path

from teachmesh.bank.atomic import FileOps, sweep, write_atomic
from teachmesh.errors import StorageError
from teachmesh.packet.codec import skill_id

_SUFFIX = ".safetensors"
_ID = re.compile(r"[0-9a-f]{64}")


def check_id(text: str) -> str:
    """Return the text if it is a valid id, and therefore safe to use as a file name.

    Raises:
        StorageError: the text is not 64 lower-case hex digits.
    """
    if not _ID.fullmatch(text):
        raise StorageError(f"expected a skill id of 64 hex digits, got {text[:80]!a}")
    return text


class SkillFolder:
    """The folders and files of one bank; the content of skills is not parsed here.

    All methods may raise OSError. To call a method that writes, hold the bank's lock.

    Args:
        root: the bank's folder.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, root: Path, ops: FileOps) -> None:
        self.skills = root / "skills"
        self.damaged = root / "damaged"
        self.marks = root / "removed"
        self._ops = ops

    def create(self) -> None:
        """Create missing folders."""
        for folder in (self.skills.parent, self.skills, self.damaged, self.marks):
            if not folder.is_dir():
                self._ops.make_folder(folder)
                self._ops.sync_folder(folder.parent)

    def ids(self) -> set[str]:
        """Return the ids of all skills with a file, intact or damaged."""
        names = self._names(self.skills)
        stems = {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}
        return {stem for stem in stems if _ID.fullmatch(stem)}

    def foreign_names(self) -> set[str]:
        """Return the names of all files in the skill folder that are not skills."""
        return self._names(self.skills) - {self.path(skill).name for skill in self.ids()}

    def removed(self) -> set[str]:
        """Return the ids of skills that were removed from this bank."""
        return {name for name in self._names(self.marks) if _ID.fullmatch(name)}

    def path(self, skill: str) -> Path:
        """Return the path of a skill's file, which may not exist."""
        return self.skills / f"{skill}{_SUFFIX}"

    def read_whole(self, skill: str) -> bytes | None:
        """Return a skill's bytes; None if the file is missing or its hash differs from its name."""
        try:
            data = self.path(skill).read_bytes()
        except FileNotFoundError:
            return None
        return data if skill_id(data) == skill else None

    def write(self, skill: str, data: bytes) -> None:
        """Store a skill's bytes; they are on the disk when this returns."""
        write_atomic(self.path(skill), data, ops=self._ops)

    def delete(self, skill: str) -> None:
        """Remove a skill's file, if it exists."""
        self._ops.remove(self.path(skill))
        self._ops.sync_folder(self.skills)

    def quarantine(self, skill: str) -> None:
        """Move a skill's file, if it exists, to the folder of damaged files."""
        source = self.path(skill)
        if not source.exists():
            return
        self._ops.rename(source, self.damaged / source.name)
        self._ops.sync_folder(self.damaged)
        self._ops.sync_folder(self.skills)

    def mark_removed(self, skill: str) -> None:
        """Mark a skill as removed from this bank."""
        write_atomic(self.marks / skill, b"", ops=self._ops)

    def unmark_removed(self, skill: str) -> None:
        """Delete the mark of a removed skill."""
        self._ops.remove(self.marks / skill)
        self._ops.sync_folder(self.marks)

    def sweep(self) -> None:
        """Remove temporary files left behind by killed writers."""
        for folder in (self.skills, self.marks):
            sweep(folder, self._ops)

    def _names(self, folder: Path) -> set[str]:
        try:
            return {path.name for path in folder.iterdir()}
        except FileNotFoundError:
            return set()
