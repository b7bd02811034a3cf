"""What learning one task gave."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.data.tasks import Task
    from teachmesh.packet.bias_card import BiasCard
    from teachmesh.packet.card import Card
    from teachmesh.packet.skill import Skill
    from teachmesh.reuse.source_skills import MatchReport


@dataclass(frozen=True)
class Reuse:
    """What learning looked for in the bank, and what it took.

    Attributes:
        encoder: how names were compared; None by looks alone.
        tasks: old tasks that were looked at.
        known: classes of the new task that the bank knows.
        takes: "classes" (old rows and means, and the bank's metric), "covariance" (the metric),
            "rows" (the start of a trained head) or "nothing".
    """

    encoder: str | None
    tasks: int
    known: int
    takes: str

    @classmethod
    def of(cls, report: MatchReport, card: Card) -> Reuse:
        """Of what was matched, and of the card of what was learned."""
        return cls(report.encoder, report.n_known, report.n_matched, taken_by(card))


def taken_by(card: Card) -> str:
    """What a skill took of others, as `Reuse.takes`; of its own method's parts first."""
    moments = "classes" if "reuse_slope" in card.calibration else "covariance"
    found = {
        "moments": moments if "reuse_gain" in card.calibration else "nothing",
        "head": "rows" if "reuse_start_gain" in card.calibration else "nothing",
    }
    order = ("moments", "head") if card.method == "moments" else ("head", "moments")
    return next((found[part] for part in order if found[part] != "nothing"), "nothing")


@dataclass(frozen=True)
class LearnResult:
    """A skill that was learned and is on the disk.

    Attributes:
        task: name of the task.
        skill_id: id of the skill.
        method: how it was learned.
        classes: names of the classes.
        n_images: training and validation images that were read.
        skipped: images that could not be read.
        skipped_reasons: one sentence for each.
        validation_accuracy: right class given the task, fraction of 1; None without images.
        privacy: what leaves this agent: "statistics" or single "samples" in latent space.
        size_bytes: size of the skill.
        cost_macs: multiply-accumulates, counted.
        wall_s: seconds from reading the folder to the end of the fsync.
        warnings: remarks on the card.
        reused: old classes that rows were learned from, as the card names them.
        reuse: what was looked for in the bank and taken; None if nothing was looked for.
        biases: what beneficial biases gained and cost; None if none were learned.
    """

    task: str
    skill_id: str
    method: str
    classes: tuple[str, ...]
    n_images: int
    skipped: int
    skipped_reasons: tuple[str, ...]
    validation_accuracy: float | None
    privacy: str
    size_bytes: int
    cost_macs: int
    wall_s: float
    warnings: tuple[str, ...]
    reused: int = 0
    reuse: Reuse | None = None
    biases: BiasCard | None = None

    @classmethod
    def of(
        cls,
        entry: BankEntry,
        skill: Skill,
        task: Task,
        failed: tuple[str, ...],
        wall_s: float,
        reuse: Reuse | None = None,
    ) -> LearnResult:
        """Summarise a saved skill."""
        card = skill.card
        return cls(
            task=card.task,
            skill_id=entry.id,
            method=card.method,
            classes=card.classes,
            n_images=sum(card.images_per_class) + card.validation_images,
            skipped=task.skipped + len(failed),
            skipped_reasons=(*task.unreadable, *failed),
            validation_accuracy=card.validation_accuracy,
            privacy=card.privacy,
            size_bytes=entry.size_bytes,
            cost_macs=card.cost_macs,
            wall_s=round(wall_s, 3),
            warnings=card.warnings,
            reused=len(card.parents),
            reuse=reuse,
            biases=card.biases,
        )

    def to_json(self) -> dict[str, Any]:
        """The document of `teachmesh learn --json`."""
        document = asdict(self)
        document["skill"] = document.pop("skill_id")
        return {"schema": "teachmesh.learn/1", **document}
