"""What learning one task gave."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillmesh.bank.entry import BankEntry
    from skillmesh.data.tasks import Task
    from skillmesh.packet.bias_card import BiasCard
    from skillmesh.packet.skill import Skill


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
        skipped_reasons: one sentence for each that was found while decoding.
        validation_accuracy: right class given the task, fraction of 1; None without images.
        privacy: what leaves this agent: "statistics" or single "samples" in latent space.
        size_bytes: size of the skill.
        cost_macs: multiply-accumulates, counted.
        wall_s: seconds from reading the folder to the end of the fsync.
        warnings: remarks on the card.
        reused: old classes that rows were learned from.
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
    biases: BiasCard | None = None

    @classmethod
    def of(
        cls, entry: BankEntry, skill: Skill, task: Task, failed: tuple[str, ...], wall_s: float
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
            skipped_reasons=failed,
            validation_accuracy=card.validation_accuracy,
            privacy=card.privacy,
            size_bytes=entry.size_bytes,
            cost_macs=card.cost_macs,
            wall_s=round(wall_s, 3),
            warnings=card.warnings,
            reused=len(card.parents),
            biases=card.biases,
        )

    def to_json(self) -> dict[str, Any]:
        """The document of `skillmesh learn --json`."""
        document = asdict(self)
        document["skill"] = document.pop("skill_id")
        return {"schema": "skillmesh.learn/1", **document}
