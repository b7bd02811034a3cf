"""`Agent`: teacher and student in one, over one home folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from teachmesh.agent.bank_view import BankView
from teachmesh.agent.catalogue import Catalogue
from teachmesh.agent.equivalent_answers import EquivalentAnswers, sources_of
from teachmesh.agent.first_pass import look, predictions
from teachmesh.agent.learn_result import LearnResult, Reuse
from teachmesh.agent.prediction import Answers, Prediction, Taught, taught_by
from teachmesh.agent.student import Student
from teachmesh.agent.task_latents import earlier_ids, now, predecessor
from teachmesh.bank.home import resolve_home
from teachmesh.bank.store import Bank
from teachmesh.data.image_inputs import AskedImages, find_images
from teachmesh.data.loader import Progress
from teachmesh.data.tasks import read_task
from teachmesh.errors import DataError
from teachmesh.learning.embedded_task import embed_task
from teachmesh.learning.fit_method import count_images
from teachmesh.learning.teacher import Author, Lesson, Teacher
from teachmesh.learning.variants import check_method, find_variant
from teachmesh.model.backbone_registry import known_fingerprints, load_backbone
from teachmesh.model.device import choose_device
from teachmesh.packet.signing import sign
from teachmesh.reuse.source_skills import SourceSkill, SourceSkills, apart_from, without_copies
from teachmesh.sharing.admission import Admission

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.biases.bias_store import BiasStore
    from teachmesh.biases.second_pass import SecondPass
    from teachmesh.model.backbone import Backbone


class Agent(BankView):
    """One agent: it learns tasks, receives skills, and answers for all of them.

    Args:
        home: folder of the agent; default `TEACHMESH_HOME`, else the user's data folder.
        backbone: alias of the backbone; default the home's, which is `embedded` at first.
        mapper: task mapper that answers (`moments`, `gmmc`, `maha`), or the variant to learn with
            (`maha+bb`: `learning.variants`), whose mapper answers; default the home's.
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
            method=find_variant(mapper or opened.config.method).method,
            backbone_name=backbone or opened.config.backbone,
        )
        self.variant = find_variant(mapper or opened.config.method)
        self._device = device
        self._second: SecondPass | None = None
        self._student = Student(self.method)
        self._student_version: int | None = None
        self._same = EquivalentAnswers()

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
        bb: str | None = None,
        bb_passes: float | None = None,
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
            method: a variant (`maha`, `moments+bb`, ...); default the agent's.
            bb: layers of beneficial biases: `auto`, `all`, `half`, `last:N` or `none`.
            bb_passes: forward passes over the images that learning may cost in all.
            also: further methods whose anchors the skill carries.
            replace: take the place of this agent's skill of the same name.
            seed: of the split, where the folder has none, and of what is random.
            reuse: how classes are matched with those of the bank ("auto", "text", "vision"), to
                learn from them where the images say that it helps; "none" to learn alone.
            encoder: how class names are compared, see `reuse.text_encoders.choose_encoder`.
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
        variant = find_variant(method) if method else self.variant
        variant = variant.with_biases(bb, bb_passes)
        others = tuple(check_method(other) for other in also)
        task = read_task(path, name=name, seed=seed)
        replaced = predecessor(self.bank, self.key.public_key, task.name, replace=replace)
        knowledge = SourceSkills.of(lambda: self.sources_for(task.name), reuse, encoder)
        if on_understood is not None:
            on_understood(task.summary())
        latents = embed_task(self.backbone, task, progress)
        count_images(latents.train.labels, len(task.classes))
        prior, report = None, None
        if knowledge is not None:
            report = knowledge.match(task.name, task.classes, latents.train)
            prior = knowledge.prior_of(report, latents.train)
        lesson = Lesson.of(
            task,
            variant,
            created=now(),
            started_s=started_s,
            also=others,
            seed=seed,
            replaces=replaced,
            warnings=task.warnings,
        )
        skill = self.teacher().teach(lesson, latents, prior, progress)
        entry = self.bank.put(sign(skill, self.key))
        reused = None if report is None else Reuse.of(report, skill.card)
        wall_s = time.perf_counter() - started_s
        return LearnResult.of(entry, skill, task, latents.failed, wall_s, reused)

    def teacher(self, bias_store: BiasStore | None = None) -> Teacher:
        """Return the maker of this agent's skills.

        Args:
            bias_store: biases trained in earlier runs, for experiments.
        """
        return Teacher(self.backbone, Author(self.key.public_key, self.alias), bias_store)

    def sources(self) -> tuple[SourceSkill, ...]:
        """The active skills of this backbone in canonical order, with their names for people.

        Whatever anchors they carry: what a class is called and which row it has does not depend on
        the mapper that answers here.
        """
        catalogue = self.catalogue()
        infos = {info.id: info for info in catalogue.infos()}
        return tuple(
            SourceSkill(i, infos[i].display_name, infos[i].alias, self.bank.load(i).skill)
            for i in catalogue.matchable_ids()
        )

    def sources_for(self, task: str) -> tuple[SourceSkill, ...]:
        """Those that a task of a name may learn from: none that saw its images, none twice."""
        own = earlier_ids(self.bank, self.key.public_key, task)
        return without_copies(apart_from(self.sources(), own))

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
        verified = self.admission.check(expected_id, data)
        # A person who imports a file restores a skill that was removed here; a peer does not.
        return self.bank.put(verified, restore=expected_id is None)

    def sync(self) -> Student:
        """The consolidated knowledge, brought up to date with the bank."""
        version = self.bank.version()
        if version != self._student_version:
            self._student.sync(
                self.catalogue().usable_ids(), lambda skill_id: self.bank.load(skill_id).skill
            )
            self._student_version = version
            self._second = None
        return self._student

    def second_pass(self) -> SecondPass | None:
        """Passes with the biases of the skills that `sync` knows; None where none has biases."""
        biased = self.sync().biased()
        if self._second is None and biased:
            # Only who needs it pays for what this loads.
            from teachmesh.biases.second_pass import SecondPass

            self._second = SecondPass(self.backbone, biased)
        return self._second

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
        self,
        asked: AskedImages | Sequence[AskedImages],
        *,
        task: str | None = None,
        alternatives: int = 3,
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
        asked: AskedImages | Sequence[AskedImages],
        *,
        task: str | None = None,
        alternatives: int = 3,
        progress: Progress | None = None,
    ) -> Answers:
        """As `predict`, but unreadable images are listed, not raised, if any can be read.

        Raises:
            DataError: no image can be read, or no skill is known.
        """
        questions = find_images(asked)
        student = self.sync()
        taught = taught_by(student, self.catalogue().infos())
        given = self._given(task, taught)
        found: list[Prediction] = []
        failed: list[str] = []
        only, second = None if given is None else given.skill_id, self.second_pass()
        for seen in look(self.backbone, student, second, questions, given=only, progress=progress):
            found += predictions(seen, taught, given, alternatives)
            failed += seen.failed
        if not found:
            raise DataError(failed[0])
        marked = self._same.mark(found, sources_of(student, taught))
        return Answers(marked, tuple(failed), self.method, self.backbone.name)

    def _given(self, task: str | None, taught: dict[str, Taught]) -> Taught | None:
        info = None if task is None else self.find(task)
        if info is not None and info.id not in taught:
            raise DataError(f"the skill of {task!r} cannot be used: {info.reason}")
        return None if info is None else taught[info.id]
