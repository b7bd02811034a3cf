"""What reuse would bring to a task, said before it is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from teachmesh.mapping.moments import MomentsAnchor
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.reuse.moments_transfer import borrow, can_be_helped
from teachmesh.reuse.transfer import trial_of_start

if TYPE_CHECKING:
    from teachmesh.model.embedding import LabelledLatents
    from teachmesh.reuse.transfer import Kin


@dataclass(frozen=True)
class Saving:
    """What `learn --reuse` would take of what is known, and what held-out training images say.

    Attributes:
        takes: "nothing"; "covariance" (the bank's metric); "classes" (it, and old rows and means);
            "rows" (the start of a trained head).
        right_alone: fraction of held-out images that learning alone names right; None where
            there was nothing to try.
        right_with: the same with what would be taken; no other where that is nothing.
    """

    takes: str
    right_alone: float | None = None
    right_with: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As `teachmesh match --json` gives it."""
        return {"takes": self.takes, "right_alone": self.right_alone, "right_with": self.right_with}


def saving(method: str, train: LabelledLatents, n_classes: int, kin: Kin) -> Saving:
    """Try what learning would try; nothing is kept of it.

    Args:
        method: `moments`, `gmmc` or `maha`; the latter two reuse rows of trained heads only.
        train: latents and labels of the shots; every class occurs.
        n_classes: C.
        kin: what the bank offers.
    """
    if method == MomentsAnchor.kind:
        if kin.relatives is None:
            return Saving("nothing")
        latents, labels = train.latents.multi, train.labels
        alone = fit_moments(latents, labels, n_classes)
        found = borrow(alone, latents, labels, n_classes, kin.relatives)
        if found.trial is None:
            return Saving(found.kind)
        alone_right, taken = found.trial.right_alone, found.kind != "nothing"
        return Saving(found.kind, alone_right, found.trial.right if taken else alone_right)
    if kin.start is None or not can_be_helped(train.labels, n_classes):
        return Saving("nothing")
    trial = trial_of_start(train.latents.last, train.labels, n_classes, kin.start)
    if not trial.passes:
        return Saving("nothing", trial.right_alone, trial.right_alone)
    return Saving("rows", trial.right_alone, trial.right)
