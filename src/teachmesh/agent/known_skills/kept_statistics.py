"""Private statistics of the skills that this agent learned, in its home."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from teachmesh.bank.statistics_folder import StatisticsFolder
from teachmesh.data.names import shown
from teachmesh.errors import DataError, SkillRefused, StorageError

if TYPE_CHECKING:
    from teachmesh.bank.store import Bank
    from teachmesh.learning.task_statistics import TaskStatistics
    from teachmesh.packet.skill import Skill


class KeptStatistics:
    """Statistics by skill.

    A file is found by the content of its skill, so that it also belongs to a version that was
    restored.

    Args:
        home: the agent's home folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = StatisticsFolder(home / "statistics")

    def save(self, skill: Skill, statistics: TaskStatistics) -> None:
        """Keep the statistics from which a skill was made.

        Raises:
            StorageError: the file cannot be written.
        """
        # Imported here because it loads torch, and listing skills must be fast.
        from teachmesh.learning.statistics_file import write_statistics

        self._folder.save(skill_key(skill), write_statistics(statistics))

    def load(self, skill: Skill) -> TaskStatistics:
        """Return the statistics from which a skill was made.

        Raises:
            DataError: this home keeps none.
            StorageError: the file is damaged.
        """
        from teachmesh.learning.statistics_file import read_statistics

        data = self._folder.load(skill_key(skill))
        if data is None:
            raise DataError(
                f"expected the statistics of '{shown(skill.card.task)}' in this home, got none; "
                "learn the task again from all images with --replace"
            )
        return read_statistics(data)

    def keep(self, skill: Skill, statistics: TaskStatistics | None, bank: Bank) -> None:
        """Keep the statistics of a new skill and of the version before it, but no earlier ones.

        Args:
            skill: the new skill.
            statistics: its statistics; None to keep none, nor those of the version before.
            bank: bank with the earlier versions.

        Raises:
            StorageError: a file cannot be written or removed.
        """
        # A skill that uses a prior from the bank is no function of statistics.
        kept = [] if statistics is None or "reuse_gain" in skill.card.calibration else [skill]
        if kept and statistics is not None:
            self.save(skill, statistics)
        before = _load(bank, skill.card.replaces)
        earliest = None if before is None else _load(bank, before.card.replaces)
        kept += [before] if kept and before is not None else []
        names = {skill_key(one) for one in kept}
        for one in (before, earliest):
            if one is not None and (name := skill_key(one)) not in names:
                self._folder.discard(name)

    def discard_of(self, bank: Bank, skill_id: str) -> None:
        """Remove the statistics of a skill; it is no error if there are none.

        Args:
            bank: bank with the skill.
            skill_id: id of the skill.

        Raises:
            StorageError: the file cannot be removed.
        """
        skill = _load(bank, skill_id)
        if skill is not None:
            self._folder.discard(skill_key(skill))

    def locked(self) -> AbstractContextManager[None]:
        """Let one process at a time change a task, see `StatisticsFolder.locked`."""
        return self._folder.locked()


def _load(bank: Bank, skill_id: str | None) -> Skill | None:
    """Return a skill of the bank; None if it is missing or damaged."""
    if skill_id is None:
        return None
    try:
        return bank.load(skill_id).skill
    except (StorageError, SkillRefused, DataError):
        return None


def skill_key(skill: Skill) -> str:
    """Return a hash of the task, the author, the classes and the tensors, 64 hex digits."""
    card = skill.card
    names = [card.author, card.task, list(card.classes), card.backbone_fingerprint]
    digest = hashlib.sha256(json.dumps(names).encode())
    for name in sorted(skill.tensors):
        array = np.ascontiguousarray(skill.tensors[name])
        digest.update(f"{name}\0{array.dtype.str}{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
