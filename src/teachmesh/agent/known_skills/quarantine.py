"""The quarantine of an agent: skills that are stored and shown, but not used in answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.agent.known_skills.catalogue import LIST_COMMAND
from teachmesh.data.names import shown
from teachmesh.errors import DataError

if TYPE_CHECKING:
    from teachmesh.agent.known_skills.bank_view import BankView
    from teachmesh.agent.known_skills.catalogue import SkillInfo


@dataclass(frozen=True)
class Quarantined:
    """A skill in quarantine.

    Attributes:
        id: id of the skill.
        name: display name of the skill.
        author: agent id of its author.
        alias: alias of its author.
        code: reason, see `screening.screen_skills`.
        reason: one sentence.
        against: display name of the skill that it harms; empty if there is none.
    """

    id: str
    name: str
    author: str
    alias: str
    code: str
    reason: str
    against: str

    def to_json(self) -> dict[str, Any]:
        """Return the skill as a JSON object."""
        return dict(vars(self))


def quarantined_skills(view: BankView) -> list[Quarantined]:
    """Return the active skills in quarantine, sorted by name."""
    infos = {info.id: info for info in view.infos()}
    return [
        Quarantined(
            id=skill,
            name=infos[skill].display_name,
            author=infos[skill].author,
            alias=infos[skill].alias,
            code=verdict.code,
            reason=verdict.text,
            against=infos[verdict.against].display_name if verdict.against in infos else "",
        )
        for skill, verdict in sorted(
            view.quarantine().items(), key=lambda item: infos[item[0]].display_name
        )
    ]


def release(view: BankView, name: str) -> SkillInfo:
    """Let answers use a skill in quarantine from now on, whatever screening finds.

    Args:
        view: the agent's bank.
        name: name of the skill, or the first characters of its id.

    Raises:
        DataError: no skill in quarantine matches.
        StorageError: the decision cannot be saved.
    """
    info = in_quarantine(view, name)
    view.verdicts.release(info.id)
    return info


def in_quarantine(view: BankView, name: str) -> SkillInfo:
    """Return the skill in quarantine that a name or the start of an id stands for.

    Raises:
        DataError: no skill matches, several do, or it is not in quarantine.
    """
    held = view.quarantine()
    fitting = [info for info in view.infos() if info.id in held and _fits(name, info)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(info.id[:12] for info in fitting)
        raise DataError(
            f"expected one skill, '{shown(name)}' fits {len(fitting)}: name an id: {ids}"
        )
    info = view.find(name)
    raise DataError(
        f"expected a skill in quarantine, '{shown(info.display_name)}' is not; see: {LIST_COMMAND}"
    )


def _fits(name: str, info: SkillInfo) -> bool:
    return name in (info.task, info.display_name) or (len(name) >= 4 and info.id.startswith(name))
