"""The skills of a bank as a mapping, and files that skills are exported to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.errors import DataError, UnknownSkillError

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.catalogue import SkillInfo


class SkillMapping(Mapping[str, "SkillInfo"]):
    """The active skills of an agent by name; it always shows the bank as it is now.

    A skill is found by the name of its task, by `task@author`, or by the first characters of its
    id. Iteration yields the names that `teachmesh skills list` shows.

    Args:
        find: function that returns the skill with a name.
        active: function that describes the active skills.

    Examples:
        >>> import tempfile
        >>> from teachmesh import Agent
        >>> skills = Agent(tempfile.mkdtemp()).skills
        >>> len(skills), "weather" in skills, skills.get("weather")
        (0, False, None)
    """

    def __init__(
        self, find: Callable[[str], SkillInfo], active: Callable[[], list[SkillInfo]]
    ) -> None:
        self._find = find
        self._active = active

    def __getitem__(self, name: str) -> SkillInfo:
        """Return the skill with this name.

        Raises:
            UnknownSkillError: no skill has the name, or several have; it is also a `KeyError`.
        """
        if not isinstance(name, str):
            raise UnknownSkillError(f"expected the name of a skill, got {name!r}")
        try:
            return self._find(name)
        except DataError as error:
            raise UnknownSkillError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter([info.display_name for info in self._active()])

    def __len__(self) -> int:
        return len(self._active())

    def __repr__(self) -> str:
        return f"<skills: {', '.join(self) or 'none'}>"


@dataclass(frozen=True)
class Exported:
    """A file that a skill was written to.

    Attributes:
        skill_id: id of the skill.
        path: path of the file.
        size_bytes: size of the file in bytes.
    """

    skill_id: str
    path: Path
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the document that `teachmesh skills export --json` prints."""
        return {
            "schema": "teachmesh.exported/1",
            "id": self.skill_id,
            "file": str(self.path),
            "size_bytes": self.size_bytes,
        }
