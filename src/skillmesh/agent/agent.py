"""`Agent`: teacher and student in one, over one home folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from skillmesh.agent.asking import Taught, answer_all, answer_within
from skillmesh.agent.catalogue import Catalogue
from skillmesh.agent.holder import Holder
from skillmesh.agent.knowledge import Knowledge, Source
from skillmesh.agent.learned import LearnResult
from skillmesh.agent.prediction import Answers, Prediction
from skillmesh.agent.same import with_same
from skillmesh.agent.student import Student
from skillmesh.bank.home import resolve_home
from skillmesh.bank.store import Bank
from skillmesh.data.names import closest
from skillmesh.data.questions import Asked, find_questions
from skillmesh.data.tasks import Task, check_failed, read_task
from skillmesh.errors import DataError, UsageError
from skillmesh.mapping.mapper import METHODS
from skillmesh.model.device import choose_device
from skillmesh.model.registry import known_fingerprints, load_backbone
from skillmesh.packet.signing import sign
from skillmesh.reuse.text import NameComparer
from skillmesh.sharing.admission import Admission
from skillmesh.training.embedding import (
    LabelledLatents,
    embed_images,
    embed_splits,
    labelled,
)
from skillmesh.training.teacher import Author, Lesson, teach

if TYPE_CHECKING:
    from skillmesh.bank.entry import BankEntry
    from skillmesh.model.backbone import Backbone
    from skillmesh.packet.skill import Skill
    from skillmesh.training.kin import Kin

Progress = Callable[[int, int], None]


class Agent(Holder):
    """One agent: it learns tasks, receives skills, and answers for all of them.

    Args:
        home: folder of the agent; default `SKILLMESH_HOME`, else the user's data folder.
        backbone: alias of the backbone; default the home's, which is `embedded` at first.
        mapper: task mapper that answers (`moments`, `gmmc`, `maha`); default the home's.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; never another one silently.
        bank: folder of another bank than the home's, for experiments.

    Raises:
        UsageError: an unknown mapper.
        BackboneError: an unknown backbone (when it is first used).
        StorageError: the home cannot be used.

    Examples:
        >>> import tempfile
        >>> agent = Agent(tempfile.mkdtemp())
        >>> agent.skills()
        []
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        backbone: str | None = None,
        mapper: str | None = None,
        device: str = "auto",
        bank: Path | None = None,
    ) -> None:
        opened = resolve_home(home)
        super().__init__(
            opened,
            Bank(bank or opened.bank),
            method=check_method(mapper or opened.config.method),
            backbone_name=backbone or opened.config.backbone,
        )
        self._device = device
        self._student = Student(self.method)
        self._student_version: int | None = None

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen network, loaded on first use."""
        return load_backbone(self.home.backbones, self.backbone_name, choose_device(self._device))

    # Teacher

    def learn(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        method: str | None = None,
        also: Sequence[str] = (),
        replace: bool = False,
        seed: int = 0,
        reuse: str = "none",
        encoder: str = "auto",
        progress: Progress | None = None,
        on_understood: Callable[[str], None] | None = None,
    ) -> LearnResult:
        """Learn one task from its images and save it as a skill: a skill's walk, first half.

        Args:
            path: folder, archive or CSV of the task.
            name: name of the task; default the folder's.
            method: default the agent's mapper.
            also: further methods whose anchors the skill carries.
            replace: take the place of this agent's skill of the same name.
            seed: of the split, where the folder has none, and of what is random.
            reuse: how classes are matched with those of the bank ("auto", "text", "vision"), to
                learn from them where the images say that it helps; "none" to learn alone.
            encoder: how class names are compared, see `reuse.text.choose_encoder`.
            progress: called with (images done, images in all).
            on_understood: called with one sentence about what was found, before learning.

        Returns:
            What was saved; when this returns, the skill is on the disk.

        Raises:
            DataError: the images or labels cannot be used.
            UsageError: already learned and not `replace`, or an unknown method.
            StorageError: it cannot be saved; nothing half-written stays.
        """
        started_s = time.perf_counter()
        chosen = check_method(method or self.method)
        others = tuple(check_method(other) for other in also)
        knowledge = Knowledge.of(self.sources, reuse, encoder)
        task = read_task(path, name=name, seed=seed)
        predecessor = self._predecessor(task.name, replace)
        if on_understood is not None:
            on_understood(task.summary())
        train, validation, failed = self._embed(task, progress)
        kin = None if knowledge is None else knowledge.kin(task.name, task.classes, train)
        lesson = Lesson(
            task=task.name,
            classes=task.classes,
            method=chosen,
            also=others,
            seed=seed,
            replaces=predecessor,
            created=_now(),
            started_s=started_s,
            cost_macs=self.backbone.macs_per_image * (len(train) + len(validation)),
            warnings=task.warnings,
        )
        entry, skill = self.save(lesson, train, validation, kin)
        return LearnResult.of(entry, skill, task, failed, time.perf_counter() - started_s)

    def save(
        self,
        lesson: Lesson,
        train: LabelledLatents,
        validation: LabelledLatents,
        kin: Kin | None = None,
    ) -> tuple[BankEntry, Skill]:
        """Make, sign and save the skill of latents; on the disk when this returns."""
        author = Author(self.key.public_key, self.alias)
        skill = teach(lesson, train, validation, self.backbone, author, kin)
        return self.bank.put(sign(skill, self.key)), skill

    def sources(self) -> tuple[Source, ...]:
        """The usable skills in canonical order, with their names for people."""
        student = self.sync()
        taught = self._taught(student)
        return tuple(
            Source(skill_id, taught[skill_id].task, taught[skill_id].alias, student.skill(skill_id))
            for skill_id in student.skill_ids
        )

    def _embed(
        self, task: Task, progress: Progress | None
    ) -> tuple[LabelledLatents, LabelledLatents, tuple[str, ...]]:
        """Training and validation images through the backbone; test images are not touched."""
        splits = [task.train, task.validation]
        total = sum(len(split.images) for split in splits)
        parts: list[LabelledLatents] = []
        failed: list[str] = []
        embedded = embed_splits(self.backbone, splits, progress=progress)
        for split, part in zip(splits, embedded, strict=True):
            parts.append(labelled(split, part))
            failed += [f"{split.images[i]}: {reason}" for i, reason in part.failed]
        check_failed(len(failed) + task.skipped, total + task.skipped, task.name)
        return parts[0], parts[1], tuple(failed)

    def _predecessor(self, task: str, replace: bool) -> str | None:
        mine = [
            entry
            for entry in self.bank.active()
            if entry.author == self.key.public_key and entry.task == task
        ]
        if mine and not replace:
            raise UsageError(
                f"expected a task that this agent has not learned, but it learned {task!r} "
                f"already (skill {mine[0].id[:12]}); use --replace or --name"
            )
        return mine[0].id if mine else None

    # Student

    @cached_property
    def admission(self) -> Admission:
        """The checks that every received skill goes through."""
        return Admission(lambda: known_fingerprints(self.home.backbones))

    def receive(self, data: bytes, expected_id: str | None = None) -> BankEntry:
        """Check a skill from outside and save it: a skill's walk, second half.

        Args:
            data: the signed bytes.
            expected_id: the id they were asked for by; None for a file that a person imports.

        Raises:
            SkillRefused: with the reason of the first check that failed.
            StorageError: it cannot be saved.
        """
        self.admission.check(expected_id, data)
        # A peer does not bring back what was removed here; a person who imports a file does.
        return self.bank.put(data, restore=expected_id is None)

    def sync(self) -> Student:
        """The consolidated knowledge, brought up to date with the bank."""
        version = self.bank.version()
        if version != self._student_version:
            self._student.sync(
                self.catalogue().usable_ids(), lambda skill_id: self.bank.load(skill_id).skill
            )
            self._student_version = version
        return self._student

    def catalogue(self) -> Catalogue:
        """The bank as seen with this agent's backbone and task mapper."""
        fingerprints = known_fingerprints(self.home.backbones)
        return Catalogue(
            entries=self.bank.entries(),
            active_ids=frozenset(entry.id for entry in self.bank.active()),
            fingerprints=fingerprints,
            fingerprint=self._fingerprint(fingerprints),
            method=self.method,
        )

    def _fingerprint(self, fingerprints: dict[str, str]) -> str:
        by_name = {name: fingerprint for fingerprint, name in fingerprints.items()}
        # Loading an unknown name raises the error that says what is known.
        return by_name.get(self.backbone_name) or self.backbone.fingerprint

    # Answers

    def predict(
        self, asked: Asked | Sequence[Asked], *, task: str | None = None, alternatives: int = 3
    ) -> Prediction | list[Prediction]:
        """Say what images show, without being told which task they belong to.

        Args:
            asked: a path to an image or folder, file contents, a Pillow image or an array
                (H, W, 3); or a list of these.
            task: the task, if it is known: then only its classes are in question.
            alternatives: how many runners-up to name.

        Returns:
            One prediction for one image, else a list.

        Raises:
            DataError: an image cannot be read, or no skill is known.
        """
        answers = self.predict_many(asked, task=task, alternatives=alternatives)
        if answers.failed:
            raise DataError(answers.failed[0])
        one = not isinstance(asked, list | tuple) and len(answers.predictions) == 1
        return answers.predictions[0] if one else list(answers.predictions)

    def predict_many(
        self,
        asked: Asked | Sequence[Asked],
        *,
        task: str | None = None,
        alternatives: int = 3,
        progress: Progress | None = None,
    ) -> Answers:
        """As `predict`, but unreadable images are listed, not raised, if any can be read.

        Raises:
            DataError: no image can be read, or no skill is known.
        """
        questions = find_questions(asked)
        student = self.sync()
        taught = self._taught(student)
        given = self._given(task, taught)
        embedded = embed_images(self.backbone, questions, progress=progress)
        failed = tuple(f"{questions[i].name}: {reason}" for i, reason in embedded.failed)
        if not len(embedded.kept):
            raise DataError(failed[0])
        names = [questions[i].name for i in embedded.kept]
        decisions = student.decide(embedded.latents)
        predictions = (
            answer_all(decisions, names, taught, alternatives)
            if given is None
            else answer_within(decisions, names, given, alternatives)
        )
        if len(taught) > 1:
            predictions = with_same(predictions, Knowledge(self.sources(), NameComparer()))
        return Answers(predictions, failed, self.method, self.backbone.name)

    def _taught(self, student: Student) -> dict[str, Taught]:
        infos = {info.id: info for info in self.catalogue().infos()}
        return {
            skill_id: Taught(
                skill_id,
                infos[skill_id].display_name,
                student.skill(skill_id).card.classes,
                infos[skill_id].author,
                infos[skill_id].alias,
            )
            for skill_id in student.skill_ids
        }

    def _given(self, task: str | None, taught: dict[str, Taught]) -> Taught | None:
        if task is None:
            return None
        info = self.find(task)
        if info.id not in taught:
            raise DataError(f"the skill of {task!r} cannot be used: {info.reason}")
        return taught[info.id]


def check_method(method: str) -> str:
    """Return a known method.

    Raises:
        UsageError: unknown; names the nearest one.
    """
    if method in METHODS:
        return method
    nearest = closest(method, METHODS)
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    raise UsageError(f"expected a method out of {', '.join(METHODS)}, got {method!r}{hint}")


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
