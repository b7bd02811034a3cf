"""Export and import all skills and tombstones of an agent as one bundle, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.withdraw_skills import retire_replaced
from teachmesh.agent.on_mesh.node import BankInventory
from teachmesh.bank.bundle_files import BundlePart, part_name, read_bundle, write_bundle
from teachmesh.errors import SkillRefused

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView


@dataclass(frozen=True)
class BundleExport:
    """Result of `export_bundle`.

    Attributes:
        path: the written file or folder.
        skills: number of skills.
        tombstones: number of tombstones.
        size_bytes: size of all of them in bytes.
        damaged: ids of skills whose files are damaged, and which were left out.
    """

    path: str
    skills: int
    tombstones: int
    size_bytes: int
    damaged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh bundle export --json` prints."""
        document = {**asdict(self), "damaged": list(self.damaged)}
        return {"schema": "teachmesh.bundle-export/1", **document}


@dataclass(frozen=True)
class BundleResult:
    """Result of importing one file of a bundle.

    Attributes:
        file: name of the file in the bundle.
        result: "saved", "known" (it was here before), "refused" or "unreadable".
        task: name of the task of a saved skill; otherwise empty.
        alias: alias of its author; otherwise empty.
        reason: code of the check that failed; otherwise empty.
        message: reason for people if it was not saved; otherwise empty.
    """

    file: str
    result: str
    task: str = ""
    alias: str = ""
    reason: str = ""
    message: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the file is not in the bank now."""
        return self.result in ("refused", "unreadable")

    def to_json(self) -> dict[str, str]:
        """Return the result as a JSON object, without empty items."""
        return {name: value for name, value in asdict(self).items() if value}


def export_bundle(view: BankView, path: Path) -> BundleExport:
    """Write all that peers would get: skills that are not withdrawn, and tombstones.

    Args:
        view: the agent.
        path: tar file to write, or an existing folder.

    Raises:
        StorageError: the bundle cannot be written.
    """
    if not view.bank.read_only and view.own_author() is not None:
        retire_replaced(view.bank, view.key)  # as `up` does, before a peer asks
    inventory = BankInventory(view)
    skills, tombstones, damaged = sorted(inventory.ids()), sorted(inventory.tombstones()), []

    def parts() -> Iterator[tuple[str, bytes]]:
        for skill in skills:
            data = inventory.read(skill)
            if data is None:
                damaged.append(skill)
            else:
                yield part_name("skills", skill), data
        for tombstone in tombstones:
            data = inventory.read_tombstone(tombstone)
            if data is not None:
                yield part_name("tombstones", tombstone), data

    size_bytes = write_bundle(path, parts())
    counts = len(skills) - len(damaged), len(tombstones)
    return BundleExport(str(path), *counts, size_bytes, tuple(damaged))


def import_bundle(view: BankView, path: Path) -> Iterator[BundleResult]:
    """Check each file of a bundle as if a peer had sent it, and save it.

    Args:
        view: the agent.
        path: the tar file or folder.

    Raises:
        StorageError: the bundle cannot be read, or a file cannot be saved.
    """
    inventory = BankInventory(view)

    def is_known(folder: str, content_id: str) -> bool:
        known = inventory.ids() if folder == "skills" else inventory.tombstones()
        return content_id in known

    for part in read_bundle(path, is_known):
        if part.data is None:
            yield BundleResult(part.name, "unreadable", message=part.problem)
        elif is_known(part.folder, part.id):
            yield BundleResult(part.name, "known")
        else:
            yield _admitted(view, inventory, part, part.data)


def _admitted(
    view: BankView, inventory: BankInventory, part: BundlePart, data: bytes
) -> BundleResult:
    try:
        if part.folder == "tombstones":
            inventory.admit_tombstone(part.id, data)
            return BundleResult(part.name, "saved")
        entry = view.receive(data, expected_id=part.id)
    except SkillRefused as refusal:
        return BundleResult(part.name, "refused", reason=refusal.reason, message=str(refusal))
    return BundleResult(part.name, "saved", task=entry.task, alias=entry.alias)
