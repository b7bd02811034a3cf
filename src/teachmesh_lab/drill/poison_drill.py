"""`teachmesh drill poison`: what honest tasks lose by hostile skills, without and with defences.

Every skill comes as signed bytes through `Agent.receive`, the code that admits skills of peers.
Without defences, answers use every skill that is admitted.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent import Agent
from teachmesh.agent.answers.screened_student import StudentSkills
from teachmesh.errors import SkillRefused
from teachmesh.packet.quarantine_list import sign_list
from teachmesh.screening.screen_skills import Screener, Targets
from teachmesh_lab.drill.honest_tasks import HonestTask, author_key, learn_honest_tasks
from teachmesh_lab.drill.poison_attacks import Attack, Attacker
from teachmesh_lab.evaluation.packing_text import FULL

if TYPE_CHECKING:
    from teachmesh.bank.entry import BankEntry
    from teachmesh.mapping.decisions import Decisions
    from teachmesh.mapping.packed_moments import Packing

SCHEMA = "teachmesh.drill/1"
Log = Callable[[str], None]


@dataclass(frozen=True)
class DrillOptions:
    """Options of the drill.

    Attributes:
        tasks: folder with one folder or archive per task; None for small built-in tasks.
        backbone: alias of the backbone; None for that of the home.
        home: home with backbones and cached latents; its bank is not used.
        seed: seed for splits and random attacks.
        most_images: number of test images per task, at most; None for all.
        packing: way to write the class moments of honest skills; None for full size.
        engine: library that computes latents, as in `teachmesh learn --engine`.
        dtype: number type of latents, as in `teachmesh learn --dtype`.
    """

    tasks: Path | None = None
    backbone: str | None = None
    home: Path | None = None
    seed: int = 0
    most_images: int | None = None
    packing: Packing | None = None
    engine: str = "torch"
    dtype: str = "fp32"


class AdvisedAgent(Agent):
    """An agent that trusts another one, and has its quarantine list.

    Attributes:
        listed: ids of the skills on that list.
    """

    listed: frozenset[str] = frozenset()

    def doubted(self) -> frozenset[str]:
        """Return the skills that the trusted agent keeps in quarantine."""
        return self.listed

    def screening_state(self) -> tuple[object, ...]:
        """Return a value that differs after every change, also of the list."""
        return *super().screening_state(), self.listed


class OpenAgent(Agent):
    """An agent without screening: answers use every skill that was admitted."""

    def use_skills(self, usable: Mapping[str, BankEntry]) -> None:
        """Let the student use all skills."""
        self._student.sync(usable, lambda skill_id: self.bank.load(skill_id).skill)


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Direct accuracy of honest tasks: right task and class, the best of all classes.

    Attributes:
        by_task: (T,) fraction of the test images of each task.
    """

    by_task: np.ndarray

    @classmethod
    def of(cls, agent: Agent, tasks: Sequence[HonestTask]) -> Accuracy:
        """Let an agent answer the test images of all tasks, one task after another.

        An answer is right if it names a skill of the task by its honest author, and the class.
        """
        student = agent.sync()
        answers = [_answers(student.decide(task.test.latents)) for task in tasks]
        chosen, classes = np.concatenate(answers).T
        taught = {entry.id: (entry.author, entry.task) for entry in agent.bank.entries()}
        number = {(task.key.public_key, task.name): t for t, task in enumerate(tasks)}
        of_skill = np.array([number.get(taught[skill], -1) for skill in student.skill_ids])
        labels = np.concatenate([task.test.labels for task in tasks])
        sizes = [len(task.test) for task in tasks]
        truth = np.repeat(np.arange(len(tasks)), sizes)
        right = (of_skill[chosen] == truth) & (classes == labels)
        return cls(np.array([part.mean() for part in np.split(right, np.cumsum(sizes)[:-1])]))

    @property
    def mean(self) -> float:
        """Unweighted mean over the tasks."""
        return float(self.by_task.mean())


@dataclass(frozen=True)
class AttackResult:
    """Result of one attack.

    Attributes:
        name: name of the attack.
        sent: number of skills that the attacker sent.
        honest_before: mean direct accuracy of the honest tasks before it.
        honest_undefended: the same after it, if answers use all admitted skills.
        honest_defended: the same after it, with screening.
        worst_undefended: largest loss of one honest task without screening.
        worst_defended: the same with screening.
        stopped_by: what kept the attacker's skills out of answers, and how many.
    """

    name: str
    sent: int
    honest_before: float
    honest_undefended: float
    honest_defended: float
    worst_undefended: float
    worst_defended: float
    stopped_by: str

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object, with accuracies as fractions of 1."""
        values = vars(self).items()
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in values}


def run_drill(options: DrillOptions, log: Log) -> dict[str, Any]:
    """Attack honest tasks in every way, and measure what they lose.

    Args:
        options: tasks, backbone, home and seed.
        log: function that shows progress.

    Returns:
        A document with the schema `teachmesh.drill/1`.

    Raises:
        DataError: a task cannot be read.
        MissingExtraError: the packages of the built-in tasks are not installed.
    """
    with tempfile.TemporaryDirectory(prefix="teachmesh-drill-") as name:
        folder = Path(name)
        source = options.tasks or _builtin_tasks(folder, options.seed)
        learner = Agent(
            options.home,
            backbone=options.backbone,
            engine=options.engine,
            dtype=options.dtype,
            bank=folder / "learner",
        )
        tasks = learn_honest_tasks(
            learner, source, options.seed, options.most_images, log, options.packing
        )
        drill = PoisonDrill(learner, tasks, folder)
        quarantined = drill.honest_quarantined()
        log(f"honest tasks: {len(tasks)}, quarantined: {len(quarantined)}")
        results = []
        for attack in Attacker(tasks, options.seed).attacks():
            results.append(drill.run(attack))
            log(_line(results[-1]))
        return {
            "schema": SCHEMA,
            "backbone": learner.backbone_name,
            **learner.backbone.arithmetic.to_json(),
            "packing": FULL if options.packing is None else str(options.packing),
            "honest_tasks": [task.name for task in tasks],
            "test_images": sum(len(task.test) for task in tasks),
            "honest_quarantined": quarantined,
            "attacks": [result.to_json() for result in results],
        }


def _builtin_tasks(folder: Path, seed: int) -> Path:
    from teachmesh_lab.demo.demo_tasks import write_demo_tasks

    write_demo_tasks(folder / "tasks", seed)
    return folder / "tasks"


def _line(result: AttackResult) -> str:
    undefended, defended = result.honest_undefended, result.honest_defended
    return f"{result.name}: {100 * undefended:.1f} % undefended, {100 * defended:.1f} % defended"


class PoisonDrill:
    """Honest tasks in the bank of one agent, and attacks on copies of that bank.

    Args:
        learner: agent whose home and backbone are used.
        tasks: the honest tasks.
        folder: folder for banks.
    """

    def __init__(self, learner: Agent, tasks: Sequence[HonestTask], folder: Path) -> None:
        self._learner = learner
        self._tasks = tasks
        self._folder = folder
        self._known: dict[tuple[str, ...], Accuracy] = {}
        self._honest = self._agent(Agent, folder / "honest")
        for task in tasks:
            self._honest.receive(task.skill.data)
            self._honest.sync()  # each is screened when it comes
        self._before = self._accuracy(self._honest)

    def honest_quarantined(self) -> list[str]:
        """Return the names of honest tasks that are quarantined.

        Each task is screened when it comes, and once more as the newcomer to all others.
        """
        student, held = self._honest.sync(), self._honest.quarantine()
        entries = {entry.id: entry for entry in self._honest.bank.active()}
        ranks = dict.fromkeys(entries, 4)
        skills = StudentSkills(student, entries, student.skill, ranks, lambda _skill: None)
        screener = Screener(skills, Targets())
        newcomers = (skills.candidate(skill) for skill in student.skill_ids)
        late = {one.id for one in newcomers if one is not None and screener.judge(one, {}).code}
        return sorted(entries[skill].task for skill in late | held.keys())

    def run(self, attack: Attack) -> AttackResult:
        """Attack an agent without defences, then one with them."""
        undefended, _ = self._attacked(OpenAgent, attack)
        defended, stopped_by = self._attacked(AdvisedAgent, attack)
        before = self._before
        return AttackResult(
            attack.name,
            len(attack.skills),
            before.mean,
            undefended.mean,
            defended.mean,
            float((before.by_task - undefended.by_task).max()),
            float((before.by_task - defended.by_task).max()),
            stopped_by,
        )

    def _attacked(self, kind: type[Agent], attack: Attack) -> tuple[Accuracy, str]:
        bank = self._folder / "attacked"
        shutil.rmtree(bank, ignore_errors=True)
        if not attack.first:
            shutil.copytree(self._folder / "honest", bank)
        agent = self._agent(kind, bank)
        for data in attack.before:
            agent.receive(data)
        agent.sync()
        reasons: Counter[str] = Counter()
        sent = set()
        for data in attack.skills:
            try:
                sent.add(agent.receive(data).id)
            except SkillRefused as refused:
                reasons[f"refused: {refused.reason}"] += 1
        agent.sync()
        for task in self._tasks if attack.first else ():
            agent.receive(task.skill.data)
        agent.sync()
        if isinstance(agent, AdvisedAgent) and attack.advised:
            agent.listed = self._quarantine_list(attack)  # comes last, which is the worst case
            agent.sync()
        held = {} if kind is OpenAgent else agent.quarantine()
        reasons.update(f"quarantined: {held[i].code}" for i in sent & held.keys())
        used = len(sent & set(agent.sync().skill_ids))
        accuracy = self._accuracy(agent)
        agent.bank.close()
        return accuracy, _stopped_by(reasons, len(sent) - used - len(sent & held.keys()), used)

    def _quarantine_list(self, attack: Attack) -> frozenset[str]:
        """Return the list of an agent that had all honest skills before an attack."""
        bank = self._folder / "older"
        shutil.rmtree(bank, ignore_errors=True)
        shutil.copytree(self._folder / "honest", bank)
        older = self._agent(Agent, bank)
        for data in attack.skills:
            older.receive(data)
        older.sync()
        found = sign_list(older.quarantine(), 1, author_key("older agent"))
        older.bank.close()
        return found.skills

    def _accuracy(self, agent: Agent) -> Accuracy:
        """Return the accuracy; equal skills give equal answers, so they are asked once."""
        used = agent.sync().skill_ids
        if used not in self._known:
            self._known[used] = Accuracy.of(agent, self._tasks)
        return self._known[used]

    def _agent(self, kind: type[Agent], bank: Path) -> Agent:
        agent = kind(self._learner.home.path, backbone=self._learner.backbone_name, bank=bank)
        agent.__dict__["backbone"] = self._learner.backbone  # loaded once
        return agent


def _answers(decisions: Decisions) -> np.ndarray:
    """Return the best of all classes of all tasks for each image, (N, 2): task and class.

    Only the classes of tasks that may have the best one are scored.
    """
    images = range(len(decisions.task))
    return np.array([decisions.leading(image, 1)[0][:2] for image in images])


def _stopped_by(reasons: Counter[str], replaced: int, used: int) -> str:
    parts = [f"{reason} ({number})" for reason, number in sorted(reasons.items())]
    parts += [f"replaced by its author ({replaced})"] * (replaced > 0)
    parts += [f"the decision alone ({used})"] * (used > 0)
    return ", ".join(parts)
