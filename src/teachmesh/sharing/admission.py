"""Checks of a received skill before it is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from teachmesh.errors import SkillRefused
from teachmesh.packet.codec import decode, skill_id
from teachmesh.packet.limits import DEFAULT_LIMITS, Limits
from teachmesh.packet.signing import VerifiedSkill, verify

Check = Callable[[VerifiedSkill], None]
"""An additional check, such as a trust policy or a quarantine; raises `SkillRefused`."""


class Admission:
    """Checks received skills: size, hash, format, signature, backbone, and additional checks.

    Args:
        fingerprints: returns a mapping from the fingerprints of this agent's backbones to aliases.
        checks: additional checks, run in this order.
        limits: upper limits for all sizes; larger skills are refused.
    """

    def __init__(
        self,
        fingerprints: Callable[[], Mapping[str, str]],
        checks: Sequence[Check] = (),
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._fingerprints = fingerprints
        self._checks = tuple(checks)
        self._limits = limits

    def check(self, expected_id: str | None, data: bytes) -> VerifiedSkill:
        """Check the bytes of a skill.

        Args:
            expected_id: requested hash; None for a file that the user imports.
            data: the received bytes.

        Raises:
            SkillRefused: a check failed; the error has the reason of the first failed check.
        """
        if len(data) > self._limits.file_bytes:
            raise SkillRefused(
                "LIMIT", f"expected at most {self._limits.file_bytes} bytes, got {len(data)}"
            )
        found = skill_id(data)
        if expected_id is not None and found != expected_id:
            raise SkillRefused(
                "HASH", f"expected the skill {expected_id[:12]}, the bytes hash to {found[:12]}"
            )
        verified = verify(decode(data, self._limits))
        self._check_backbone(verified)
        for check in self._checks:
            check(verified)
        return verified

    def _check_backbone(self, verified: VerifiedSkill) -> None:
        card = verified.skill.card
        known = self._fingerprints()
        if card.backbone_fingerprint in known:
            return
        here = ", ".join(f"{name} ({key[:12]})" for key, name in sorted(known.items())) or "none"
        # Show the full reference id, because `fetch` takes it as an argument.
        raise SkillRefused(
            "BACKBONE",
            f"the skill {card.task!r} was made with the backbone {card.backbone_name!r} "
            f"({card.backbone_fingerprint[:12]}), this agent has {here}; get it from its author "
            "with `teachmesh backbone export` and `teachmesh backbone import`, or only its "
            f"reference from a running agent with `teachmesh backbone fetch {card.reference_id} "
            "--join ENDPOINT`",
        )
