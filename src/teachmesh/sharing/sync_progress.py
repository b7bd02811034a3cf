"""Reasons why a peer is not in sync, and the number of skills that are still to be fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Skills that peers offer and this agent lacks.

    Attributes:
        missing: number of skills to fetch.
        fetching: number of these that are being requested now.
    """

    missing: int = 0
    fetching: int = 0


@dataclass(frozen=True)
class Gap:
    """Difference between the skills of a peer and those of this agent.

    Attributes:
        is_known: whether the peer's list of skills has come.
        missing: number of the peer's skills that are still to be fetched.
        refused: number of the peer's skills that this agent refused, by reason.
    """

    is_known: bool = True
    missing: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


def explain(gap: Gap, *, own_count: int, peer_count: int, same_skills: bool) -> str:
    """Return why a peer is not in sync, for people.

    Args:
        gap: difference to the peer's skills.
        own_count: number of skills of this agent.
        peer_count: number of skills of the peer.
        same_skills: whether both have the same skills, so that only withdrawals differ.

    >>> explain(Gap(missing=5), own_count=97, peer_count=102, same_skills=False)
    '5 of its skills are still to be fetched'
    >>> explain(Gap(), own_count=3, peer_count=1, same_skills=False)
    'it has not fetched 2 skills of this agent yet'
    """
    if same_skills:
        return "withdrawals are still being exchanged"
    if not gap.is_known:
        return "its list of skills has not come yet"
    reasons = []
    if gap.missing:
        reasons.append(f"{gap.missing} of its skills {_are(gap.missing)} still to be fetched")
    reasons += [
        f"{count} of its skills {_are(count)} refused here ({reason})"
        for reason, count in sorted(gap.refused.items())
    ]
    fewer = own_count + gap.missing + sum(gap.refused.values()) - peer_count
    if fewer > 0:
        word = "skill" if fewer == 1 else "skills"
        reasons.append(f"it has not fetched {fewer} {word} of this agent yet")
    return "; ".join(reasons) or "some of its skills were removed here, or will be fetched later"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
