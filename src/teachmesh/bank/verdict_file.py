"""File of a bank with the verdicts about its skills: used, quarantined, or released by a person."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from teachmesh.bank.atomic import FILE_OPS, FileOps, storage_errors
from teachmesh.bank.shared_file import SharedFile, Stamp

SCHEMA = "teachmesh.verdicts/2"
_OLDER = "teachmesh.verdicts/1"
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Verdict:
    """Result of screening one skill.

    Attributes:
        rank: precedence of the skill for this agent, 0 for its own ones; lower comes first.
        code: why the skill is quarantined, see `screening.screen_skills`; empty if it is used.
        text: one sentence with the reason; empty if it is used.
        against: id of the skill that it harms; empty if there is none.
        takes: number of synthetic images to which it is near, by id of their skill.
    """

    rank: int
    code: str = ""
    text: str = ""
    against: str = ""
    takes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of a bank, for one backbone.

    Attributes:
        by_id: verdict of each screened skill.
        released: ids of the skills that a person released.
    """

    by_id: Mapping[str, Verdict] = field(default_factory=dict)
    released: frozenset[str] = frozenset()

    def quarantined(self) -> dict[str, Verdict]:
        """Return the verdicts that keep a skill out of answers, by id."""
        found = {skill: verdict for skill, verdict in self.by_id.items() if verdict.code}
        return {skill: found[skill] for skill in sorted(found) if skill not in self.released}

    def to_json(self) -> dict[str, object]:
        """Return the content of the file; default values are left out."""
        documents = {
            skill: {name: value for name, value in asdict(verdict).items() if value}
            for skill, verdict in sorted(self.by_id.items())
        }
        return {"schema": SCHEMA, "verdicts": documents, "released": sorted(self.released)}

    @classmethod
    def from_json(cls, values: object) -> Verdicts:
        """Read the content of the file; of an older one, the decisions of a person only.

        Raises:
            ValueError: the values have another schema or type.
        """
        if not isinstance(values, dict) or values.get("schema") not in (SCHEMA, _OLDER):
            raise ValueError(f"expected verdicts of schema {SCHEMA!r}")
        try:
            if values["schema"] == _OLDER:  # other tests made its verdicts
                return cls(released=frozenset(values["released"]))
            by_id = {skill: Verdict(**{"rank": 0, **v}) for skill, v in values["verdicts"].items()}
            return cls(by_id, frozenset(values["released"]))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("expected an object with verdicts and released ids") from error


class VerdictFile:
    """The verdicts of a bank in one file, which several processes may change.

    A damaged file counts as missing: the skills are then screened again.

    Args:
        path: path of the file; its folder is created with it.
        read_only: True to write nothing; changes are then lost with this object.
        ops: disk operations; tests pass their own.
    """

    def __init__(self, path: Path, *, read_only: bool = False, ops: FileOps = FILE_OPS) -> None:
        self._folder = path.parent
        self._ops = ops
        self._file = SharedFile(
            path,
            ops,
            max_bytes=_LIMIT_BYTES,
            busy="another process screens skills in this home; try again",
        )
        self._read_only = read_only
        self._known: tuple[Stamp | None, Verdicts] = (None, Verdicts())

    def version(self) -> Stamp | None:
        """Return a value that changes with the file; None if there is no file.

        Raises:
            StorageError: the file cannot be read.
        """
        return self._file.stamp()

    def read(self) -> Verdicts:
        """Return the verdicts; none if the file is missing or damaged.

        Raises:
            StorageError: the file cannot be read.
        """
        version = self.version()
        if version is not None and version != self._known[0]:
            self._known = version, _parsed(self._file.read_bytes() or b"")
        return self._known[1]

    def change(self, edit: Callable[[Verdicts], Verdicts]) -> Verdicts:
        """Replace the verdicts by a function of them; they are on the disk when this returns.

        Raises:
            StorageError: the file cannot be written, or another process keeps it.
        """
        if self._read_only:
            self._known = self._known[0], edit(self.read())
            return self._known[1]
        with storage_errors(f"could not save {self._file.path}"):
            self._ops.make_folder(self._folder)
        with self._file.locked():
            before = self.read()
            after = edit(before)
            if after != before:
                text = json.dumps(after.to_json(), separators=(",", ":"))
                self._file.write_bytes(text.encode())
                self._known = self.version(), after
            return after

    def release(self, skill: str) -> None:
        """Use a skill whatever screening finds.

        Raises:
            StorageError: the file cannot be written.
        """
        self.change(lambda known: replace(known, released=known.released | {skill}))


def _parsed(data: bytes) -> Verdicts:
    try:
        return Verdicts.from_json(json.loads(data))
    except (ValueError, RecursionError):
        return Verdicts()
