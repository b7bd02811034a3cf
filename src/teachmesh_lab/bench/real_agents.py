"""Cells of N real agents: processes with separate homes that share skills over the network.

One more agent, the listener, learns nothing. The N agents connect to its address, and it receives
all skills from them. For comparison, another process learns all tasks alone. Answers are computed
from the agents' homes after all processes have exited.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from teachmesh.agent import Agent
from teachmesh.bank.home import Home, resolve_home
from teachmesh.errors import TeachmeshError
from teachmesh.mapping.accuracies import Choices, choose
from teachmesh_lab.bench.cell import MEASURES
from teachmesh_lab.demo.agent_processes import AgentProcess
from teachmesh_lab.demo.run_demo import NAMES
from teachmesh_lab.evaluation.cost_ledger import PACKINGS, pack
from teachmesh_lab.evaluation.image_answers import ImageAnswers

if TYPE_CHECKING:
    from teachmesh.data.tasks import Task
    from teachmesh_lab.bench.cell import Cell
    from teachmesh_lab.bench.stream_latents import TaskLatents

START_DEADLINE_S = 180.0
LEARN_DEADLINE_S = 4 * 3600.0


@dataclass(frozen=True, eq=False)
class HomeAnswers:
    """Answers to all test images, computed with the bank of one home.

    Attributes:
        digest: digest of the home's bank.
        skills: number of skills in the home's bank.
        parts: answers for each task's images; tasks are numbered by stream position.
    """

    digest: str
    skills: int
    parts: tuple[Choices, ...]

    def differences(self, other: HomeAnswers) -> int:
        """Count the images for which the answer of another home differs."""
        pairs = zip(self.parts, other.parts, strict=True)
        return sum(
            int(np.sum((mine.mapped != theirs.mapped) | (mine.final != theirs.final)))
            for mine, theirs in pairs
        )


@dataclass
class Traffic:
    """Measurements of running agents; times are in seconds since the first learner was ready.

    Attributes:
        makespan_s: time until all agents had all skills.
        startup_s: seconds from the start of the first process until the first learner was ready.
        learned: for each agent, (task, time when the skill was saved, seconds of learning).
        bytes_sent: bytes sent by all agents, including announcements.
        skill_bytes: size of the skill of each task, in bytes.
    """

    makespan_s: float = 0.0
    startup_s: float = 0.0
    learned: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)
    bytes_sent: int = 0
    skill_bytes: dict[str, int] = field(default_factory=dict)


def run_real(
    cell: Cell,
    tasks: Sequence[Task],
    paths: Sequence[Path],
    latents: Sequence[TaskLatents],
    home: Home,
    workplace: Path,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let N agents learn and share skills; compare them with one agent that learns all tasks.

    Args:
        cell: method, number of agents, seed, backbone and packing.
        tasks: tasks of the stream.
        paths: folders or archives of the tasks, from which the agents learn.
        latents: latents of the tasks; answers are computed for the test images.
        home: home from which a side-loaded backbone is copied.
        workplace: folder for the agents' homes; removed at the end.

    Returns:
        The results determined by the configuration, and the measurements.

    Raises:
        TeachmeshError: an agent exited, failed to learn, or exceeded a deadline.
    """
    shutil.rmtree(workplace, ignore_errors=True)
    workplace.mkdir(parents=True)
    try:
        mesh = _Mesh(cell, home, workplace)
        images = [float(len(task.train) + len(task.validation)) for task in tasks]
        packing = cell.packing if cell.packing in PACKINGS else PACKINGS[0]
        assignment = pack(packing, images, cell.agents)
        shared = mesh.run([[paths[i] for i in mine] for mine in assignment], len(paths))
        alone = mesh.run_alone(paths)
        found = [_answer(place, cell, latents) for place in mesh.homes]
        reference = _answer(workplace / "alone", cell, latents)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    result = _scores(found[0], latents) | {
        "tasks": [{"name": task.name} for task in latents],
        "needs_oracle": False,
        "parallel": "skills",
        "check": {
            "agents": len(found),
            "skills": [answers.skills for answers in found],
            "digests_equal": len({answers.digest for answers in found}) == 1,
            "answers_differ": [found[0].differences(other) for other in found[1:]],
            "answers_differ_from_one_agent": found[0].differences(reference),
            "test_images": sum(len(task.test) for task in latents),
        },
        "assignment": [[tasks[i].name for i in mine] for mine in assignment],
    }
    return result, {"shared": _traffic_json(shared), "alone": _traffic_json(alone)}


class _Mesh:
    """The agent processes of one cell."""

    def __init__(self, cell: Cell, home: Home, workplace: Path) -> None:
        self.cell, self.home, self.workplace = cell, home, workplace
        self.homes: list[Path] = []

    def run(self, shares: Sequence[Sequence[Path]], n_tasks: int) -> Traffic:
        """Run all agents concurrently until each has all skills."""
        agents: list[AgentProcess] = []
        started_s = time.monotonic()
        try:
            listener = self._start("listener", (), ())
            agents.append(listener)
            endpoint = str(_ready(listener)["endpoint"])
            agents += [
                self._start(NAMES[i % len(NAMES)] + str(i), mine, (endpoint,))
                for i, mine in enumerate(shares)
            ]
            first_s = min(float(_ready(agent)["seen_s"]) for agent in agents[1:])
            return self._collect(agents, n_tasks, started_s, first_s)
        finally:
            for agent in agents:
                agent.stop()
            self.homes = [agent.home for agent in agents]

    def run_alone(self, paths: Sequence[Path]) -> Traffic:
        """Run one agent until it has learned all tasks."""
        started_s = time.monotonic()
        agent = self._start("alone", paths, ())
        try:
            return self._collect([agent], len(paths), started_s, float(_ready(agent)["seen_s"]))
        finally:
            agent.stop()

    def _start(self, name: str, learn: Sequence[Path], join: Sequence[str]) -> AgentProcess:
        place = resolve_home(self.workplace / name)
        stored = self.home.backbones / self.cell.backbone
        if stored.is_dir():
            shutil.copytree(stored, place.backbones / self.cell.backbone)
        return AgentProcess(
            name,
            place.path,
            join=join,
            learn=learn,
            backbone=self.cell.backbone,
            method=self.cell.method,
            seed=self.cell.seed,
        )

    def _collect(
        self, agents: Sequence[AgentProcess], n_tasks: int, started_s: float, first_s: float
    ) -> Traffic:
        deadline_s = time.monotonic() + LEARN_DEADLINE_S
        traffic = Traffic(startup_s=first_s - started_s)
        for agent in agents:
            known: set[str] = set()
            while len(known) < n_tasks:
                event = _news(agent, known, deadline_s)
                if event["event"] == "error":
                    raise TeachmeshError(f"{agent.name} could not learn: {event['message']}")
                known.add(event["skill"])
                since_s = float(event["seen_s"]) - first_s
                traffic.makespan_s = max(traffic.makespan_s, since_s)
                if event["event"] == "saved":
                    mine = traffic.learned.setdefault(agent.name, [])
                    mine.append((event["task"], since_s, float(event["wall_s"])))
                    traffic.skill_bytes[event["task"]] = int(event["size_bytes"])
        for agent in agents:
            agent.stop()
            traffic.bytes_sent += int((agent.last("stats") or {"bytes_sent": 0})["bytes_sent"])
        return traffic


def _news(agent: AgentProcess, known: set[str], deadline_s: float) -> dict[str, Any]:
    """Wait for the first event about a new skill, or for an error."""

    def wanted(event: dict[str, Any]) -> bool:
        if event["event"] == "error":
            return True
        return event["event"] in ("saved", "received") and event["skill"] not in known

    return agent.wait_for(wanted, "all skills", deadline_s)


def _ready(agent: AgentProcess) -> dict[str, Any]:
    deadline_s = time.monotonic() + START_DEADLINE_S
    return agent.wait_for(lambda e: e["event"] == "ready", "the start", deadline_s)


def _answer(place: Path, cell: Cell, latents: Sequence[TaskLatents]) -> HomeAnswers:
    """Compute the answers of an agent from its home, after its process has exited."""
    agent = Agent(place, backbone=cell.backbone, mapper=cell.method)
    student = agent.sync()
    names = [task.name for task in latents]
    parts = []
    for task in latents:
        decisions = student.decide(task.test.latents)
        # Stream position of each skill's task; one past the end if the stream lacks the task.
        cards = [student.skill(skill).card.task for skill in decisions.skill_ids]
        position = np.array([names.index(n) if n in names else len(names) for n in cards])
        found = choose(decisions, np.full(len(task.test), cards.index(task.name)))
        parts.append(found.renumbered(position))
    return HomeAnswers(agent.digest(), len(agent.bank.ids()), tuple(parts))


def _scores(answers: HomeAnswers, latents: Sequence[TaskLatents]) -> dict[str, Any]:
    """Return the last row of each accuracy matrix, and the answers to each image."""
    pairs = [(part, task.test.labels) for part, task in zip(answers.parts, latents, strict=True)]
    right = [part.score(number, labels) for number, (part, labels) in enumerate(pairs)]
    rows = {name: [[getattr(one, kind) for one in right]] for name, kind in MEASURES.items()}
    return {**rows, "answers": [ImageAnswers.of(*pair).to_json() for pair in pairs]}


def _traffic_json(traffic: Traffic) -> dict[str, Any]:
    return {
        "makespan_s": round(traffic.makespan_s, 3),
        "startup_s": round(traffic.startup_s, 3),
        "learned": {
            name: [[task, round(at, 3), round(took, 3)] for task, at, took in mine]
            for name, mine in traffic.learned.items()
        },
        "bytes_sent": traffic.bytes_sent,
        "skill_bytes": traffic.skill_bytes,
    }
