"""An agent whose student follows the changes of its bank."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.agent.agent_threads import SkillsChanged
from teachmesh.agent.answers.answer_writer import AnswerWriter
from teachmesh.agent.answers.screened_student import Screening
from teachmesh.agent.answers.student import Student
from teachmesh.agent.argument_checks import checked
from teachmesh.agent.known_skills.bank_view import BankView
from teachmesh.agent.known_skills.catalogue import Catalogue
from teachmesh.agent.skill_faults import SkillFault
from teachmesh.errors import DataError, StorageError
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.build_backbone import choose_device
from teachmesh.model.number_type import USUAL, Arithmetic
from teachmesh.packet.signing import agent_id
from teachmesh.reuse.source_skills import SourceSkill

if TYPE_CHECKING:
    import numpy as np

    from teachmesh.bank.entry import BankEntry
    from teachmesh.bank.folder import ArrayFiles
    from teachmesh.biases.second_pass import SecondPass
    from teachmesh.mapping.metric import Metric
    from teachmesh.model.backbone import Backbone
    from teachmesh.packet.skill import Skill


_log = logging.getLogger(__name__)


class SyncedAgent(BankView):
    """An agent that consolidates the skills of its bank.

    Several threads may use one agent. Images pass through the backbone in parallel, and each answer
    belongs to one state of the bank: before or after a skill was added.

    Args and errors are those of `Agent`.

    Examples:
        >>> import tempfile
        >>> agent = SyncedAgent(tempfile.mkdtemp())
        >>> agent.infos()
        []
    """

    @checked
    def __init__(
        self,
        home: str | Path | None = None,
        *,
        backbone: str | None = None,
        mapper: str | None = None,
        device: str = "auto",
        engine: str = "torch",
        dtype: str = "fp32",
        bank: Path | None = None,
        ridge: float | None = None,
        reading: bool = False,
    ) -> None:
        super().__init__(home, backbone=backbone, mapper=mapper, bank=bank, reading=reading)
        self._device = device
        self._arithmetic = _arithmetic(engine, dtype, device)
        self._ridge = ridge
        self._second: SecondPass | None = None
        self._student_version: tuple[object, ...] | None = None
        self._updates = 0
        self._writer = AnswerWriter(())

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen network, loaded on first use."""
        device = choose_device(self._device)
        plain = load_backbone(self.home.backbones, self.backbone_name, device)
        if self._arithmetic == USUAL:
            return plain
        # Imported here because it is rarely needed.
        from teachmesh.model.compute_engine import with_engine

        return with_engine(plain, *self._arithmetic)

    @property
    def in_float32(self) -> bool:
        """Whether latents are computed in float32, which exact sums of a task need."""
        return self.backbone.arithmetic.dtype == "fp32"

    @cached_property
    def _student(self) -> Student:
        return Student(self.method, self.metric(), self._store_of, self._ridge)

    def _store_of(self, part: str, origin: str) -> ArrayFiles:
        """Return the files for densities that were derived from skills of this backbone."""
        return self.bank.derived(f"{self.backbone.fingerprint[:16]}/{part}", origin)

    def latent_sizes(self) -> dict[str, int]:
        """Return the sizes of the backbone's latents by kind."""
        if stated := super().latent_sizes():
            return stated
        return {"last": self.backbone.last_dim, "multi": self.backbone.dim}  # loads the network

    def metric(self) -> Metric:
        """Return the fixed metric of the backbone's latents."""
        return self.backbone.reference.metric

    # Student

    def sync(self) -> Student:
        """Return the student after updating it with all changes of the bank and of trust.

        Hold `lock` while the student is used, if several threads use the agent.
        """
        with self.lock:
            version = self.screening_state()
            if (version, self.verdicts.version()) != self._student_version:
                released = self.verdicts.read().released
                self._update()
                seen = version, self.verdicts.version()
                # Another process may have released a skill during the update.
                is_seen = self.verdicts.read().released == released
                self._student_version = seen if is_seen else None
            return self._student

    def _update(self) -> None:
        whole = replace(self.catalogue(), quarantined={})
        usable = {entry.id: entry for entry in whole.usable()}
        self.use_skills(usable)
        catalogue = replace(whole, quarantined=self.quarantine_reasons())
        for skill_id, reason in self._student.unusable.items():
            super().set_aside(SkillFault(skill_id, reason))
        used = [usable[skill_id] for skill_id in self._student.skill_ids]
        self._writer = AnswerWriter(named(catalogue, used, self._student.skill))
        self._second = None
        self._updates += 1
        _log.debug("answers use %d skills", len(used))

    def screen(self) -> None:
        """Screen new skills; the network is not loaded if all skills are this agent's own."""
        if self.method == "moments" and any(
            self.precedence(author) for author in {entry.author for entry in self.bank.active()}
        ):
            self.sync()

    def use_skills(self, usable: Mapping[str, BankEntry]) -> None:
        """Let the student use skills, without those that are quarantined.

        Args:
            usable: skills that can be used, also those in quarantine, by id.

        Raises:
            StorageError: the verdicts cannot be saved, or a skill is damaged.
        """

        def load(skill_id: str) -> Skill:
            return self.bank.load(skill_id).skill

        if self.method == "moments":
            self._screening.update(self._student, usable, load)
        else:
            self._student.sync(usable, load)

    @cached_property
    def _screening(self) -> Screening:
        return Screening(
            self.verdicts, self.precedence, self.doubted, self.kept_points, self.bank.arrived_ns
        )

    def kept_points(self, skill: Skill) -> np.ndarray | None:
        """Return the (N, D) kept validation images of an own skill in the metric's space, or None.

        Args:
            skill: a skill of this agent.
        """
        try:
            kept = self.statistics.load(skill).validation
        except (DataError, StorageError):  # another home learned it, or the file is damaged
            return None
        return self.metric().apply(kept.latents()) if len(kept) else None

    @contextmanager
    def unchanged(self, updates: int) -> Iterator[None]:
        """Hold the lock while one answer is read from the student.

        Args:
            updates: value of `updates` when the answer began.

        Raises:
            SkillsChanged: another thread updated the student since then.
        """
        with self.lock:
            if self._updates != updates:
                raise SkillsChanged
            yield

    @property
    def updates(self) -> int:
        """Number of times that the student was updated with changes of the bank."""
        return self._updates

    def set_aside(self, fault: SkillFault) -> None:
        """Let other skills answer from the next `sync` on, and show the reason in `skills`."""
        with self.lock:
            super().set_aside(fault)
            self._student_version = None

    def second_pass(self) -> SecondPass | None:
        """Return the second pass for the skills with biases; None if no skill has biases."""
        with self.lock:
            self.sync()
            return self._second_pass()

    def _second_pass(self) -> SecondPass | None:
        biased = self._student.biased()
        if self._second is None and biased:
            # Imported here because the module is slow to load and only needed with biases.
            from teachmesh.biases.second_pass import SecondPass

            self._second = SecondPass(self.backbone, biased)
        return self._second


def _arithmetic(engine: str, dtype: str, device: str) -> Arithmetic:
    """Check and return the arithmetic that options choose, before an agent starts to work."""
    if (engine, dtype) == USUAL:
        return USUAL
    # Imported here because it is rarely needed.
    from teachmesh.model.compute_engine import choose_arithmetic

    return choose_arithmetic(engine, dtype, choose_device(device))


def named(
    catalogue: Catalogue, entries: Iterable[BankEntry], load: Callable[[str], Skill]
) -> tuple[SourceSkill, ...]:
    """Return skills with their display names.

    Args:
        catalogue: catalogue of the bank.
        entries: entries of the skills.
        load: function that returns the skill with a given id.
    """
    names = catalogue.display_names()
    return tuple(
        SourceSkill(e.id, names[e.id], e.alias, agent_id(e.author), e.classes, load)
        for e in entries
    )
