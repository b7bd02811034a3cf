"""`teachmesh demo`: agents learn in parallel and share; one is killed, one joins late."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from teachmesh.bank.home import resolve_home
from teachmesh.data.tasks import find_tasks, task_name
from teachmesh.errors import DataError, TeachmeshError
from teachmesh.model.build_backbone import choose_device
from teachmesh.model.compute_engine import choose_arithmetic
from teachmesh.model.number_type import Arithmetic
from teachmesh_lab.demo.agent_pages import show_pages
from teachmesh_lab.demo.agent_processes import AgentProcess
from teachmesh_lab.demo.answer_process import HomeAnswers, answer_homes
from teachmesh_lab.demo.demo_tasks import write_demo_tasks
from teachmesh_lab.evaluation.evaluation_report import write_report
from teachmesh_lab.evaluation.html_page import check_page

Log = Callable[[str], None]
NAMES = (
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory",
    "niaj", "olivia", "peggy", "rupert", "sybil", "trent", "victor", "walter", "wendy",
)  # fmt: skip
DEADLINE_S = 3600.0
SHARE_DEADLINE_S = 120.0


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Attributes:
        tasks: folder of tasks; None for small tasks with real images.
        agents: number of agents that learn; one more joins late.
        backbone: alias of a backbone in `home`; None for the default.
        seed: seed for splits and all random numbers.
        report: path of the HTML page; None for a file in `home`.
        keep: empty folder in which to keep the agents' homes; None for a temporary folder.
        home: home folder that holds the backbone; by default, the report is written there, too.
        web: whether to show the pages of the agents until Ctrl-C.
        engine: library that computes latents, as in `teachmesh up --engine`.
        dtype: number type of latents, as in `teachmesh up --dtype`.
    """

    tasks: Path | None = None
    agents: int = 4
    backbone: str | None = None
    seed: int = 0
    report: Path | None = None
    keep: Path | None = None
    home: Path | None = None
    web: bool = False
    engine: str = "torch"
    dtype: str = "fp32"


def run_demo(options: DemoOptions, *, log: Log) -> dict[str, Any]:
    """Run the demo with real processes that communicate over the loopback network.

    Args:
        options: options of the demo.
        log: called with one sentence per step.

    Returns:
        The document of schema `teachmesh.demo/1`.

    Raises:
        DeviceError: the engine or the number type is unknown or not available.
        TeachmeshError: an agent ended early, or an event did not occur in time.
    """
    started_s = time.perf_counter()
    report = options.report or resolve_home(options.home).path / "demo-report.html"
    check_page(report)
    # The agents use the device `auto`, the default of `teachmesh up`.
    arithmetic = choose_arithmetic(options.engine, options.dtype, choose_device("auto"))
    with _workspace(options.keep) as folder:
        tasks_dir = options.tasks or folder / "tasks"
        if options.tasks is None:
            log("writing small tasks of real images from installed packages")
            write_demo_tasks(tasks_dir, options.seed)
        paths = find_tasks(tasks_dir)
        if len(paths) < options.agents:
            raise DataError(
                f"expected at least one task per agent ({options.agents}), found {len(paths)} in "
                f"'{tasks_dir}'; use fewer with --agents"
            )
        story = _Story(options, arithmetic, folder, paths, log)
        try:
            story.learn_and_share()
            story.kill_one_and_let_one_join()
            if options.web:
                show_pages(story.agents, log)
        finally:
            story.stop()
        # With the user's own tasks, this comparison would double the duration.
        alone_s = story.learn_alone() if options.tasks is None else None
        answers = story.answer(tasks_dir)
        document = story.document(answers, alone_s, time.perf_counter() - started_s)
        document["report"] = str(write_report(document, report))
        return document


@contextlib.contextmanager
def _workspace(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise DataError(f"expected an empty folder for --keep, '{keep}' is not empty")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="teachmesh-demo-") as folder:
        yield Path(folder)


class _Story:
    """The agents of one demo and the demo's steps, one method per step."""

    def __init__(
        self,
        options: DemoOptions,
        arithmetic: Arithmetic,
        folder: Path,
        paths: Sequence[Path],
        log: Log,
    ) -> None:
        self.options, self.arithmetic = options, arithmetic
        self.folder, self.paths, self.log = folder, paths, log
        self.agents: list[AgentProcess] = []
        self.authors: dict[str, str] = {}
        self.learn_s = 0.0
        self.alone_learning_s: float | None = None

    def learn_and_share(self) -> None:
        """Let all agents learn their tasks in parallel and share each skill when it is ready."""
        self.log(f"{self.options.agents} agents, {len(self.paths)} tasks: learning in parallel")
        before_s = time.perf_counter()
        join: list[str] = []
        for number in range(self.options.agents):
            mine = self.paths[number :: self.options.agents]
            agent = self._start(_name(number), learn=mine, join=join)
            self.authors |= {task_name(path): agent.name for path in mine}
            if not join:
                join = [self._endpoint(agent)]
        deadline_s = time.monotonic() + DEADLINE_S
        for number, agent in enumerate(self.agents):
            for path in self.paths[number :: self.options.agents]:
                self._wait_saved(agent, task_name(path), deadline_s)
        self._wait_equal(self.agents, time.monotonic() + SHARE_DEADLINE_S)
        self.learn_s = time.perf_counter() - before_s
        self.log(f"all {len(self.agents)} agents have all skills after {self.learn_s:.1f} s")

    def kill_one_and_let_one_join(self) -> None:
        """Kill one agent, and start a new one that gets all skills from the others."""
        victim, *survivors = self.agents
        self.log(f"killing {victim.name} with SIGKILL; another agent joins late")
        victim.kill()
        late = self._start(_name(len(self.agents)), join=[self._endpoint(survivors[0])])
        self._wait_equal([*survivors, late], time.monotonic() + SHARE_DEADLINE_S)
        self.log(f"{late.name} has all skills, including those of {victim.name}")

    def learn_alone(self) -> float:
        """Let one agent learn all tasks alone, and return how many seconds it took."""
        self.log("for comparison: one agent alone learns all tasks")
        before_s = time.perf_counter()
        alone = self._start("alone", learn=self.paths)
        self.agents.remove(alone)
        try:
            deadline_s = time.monotonic() + DEADLINE_S
            for path in self.paths:
                self._wait_saved(alone, task_name(path), deadline_s)
        finally:
            alone.stop()
        self.alone_learning_s = _learning_s(alone)
        return time.perf_counter() - before_s

    def answer(self, tasks_dir: Path) -> list[HomeAnswers]:
        """Classify every test image with every home, including the killed agent's home."""
        self.log("every agent answers for every test image of every task")
        homes = [agent.home for agent in self.agents]
        return answer_homes(
            homes,
            tasks_dir,
            backbone=self.options.backbone,
            seed=self.options.seed,
            arithmetic=self.arithmetic,
        )

    def stop(self) -> None:
        """Stop all agents that are still running."""
        for agent in self.agents:
            agent.stop()

    def document(
        self, answers: Sequence[HomeAnswers], alone_s: float | None, wall_s: float
    ) -> dict[str, Any]:
        """Return the results as a JSON object."""
        first = answers[0]
        equal = all(np.array_equal(first.answers, other.answers) for other in answers)
        return {
            "schema": "teachmesh.demo/1",
            **self.arithmetic.to_json(),
            "agents": [
                {
                    "id": agent.events[0]["id"],
                    "alias": agent.name,
                    "skills": found.skills,
                    "digest": found.digest,
                    "late": number == self.options.agents,
                    "killed": agent.killed,
                }
                for number, (agent, found) in enumerate(zip(self.agents, answers, strict=True))
            ],
            "tasks": [
                {
                    "name": name,
                    "author": self.authors[name],
                    "mapper": float(first.mapper[i]),
                    "oracle": float(first.oracle[i]),
                    "final": float(first.final[i]),
                    "direct": float(first.direct[i]),
                }
                for i, name in enumerate(first.tasks)
            ],
            # Digests of all homes on disk, including the killed agent's home.
            "digests_equal": len({found.digest for found in answers}) == 1,
            "predictions_equal": equal,
            "test_images": len(first.answers),
            "confusion": _confusion(first),
            "bytes_sent": sum(self._state(agent)["bytes_sent"] for agent in self.agents),
            "learn_s": round(self.learn_s, 2),
            "busiest_learning_s": round(max(map(_learning_s, self.agents)), 2),
            "alone_learning_s": self.alone_learning_s,
            "alone_s": None if alone_s is None else round(alone_s, 2),
            "wall_s": round(wall_s, 2),
        }

    def _start(
        self, name: str, *, learn: Sequence[Path] = (), join: Sequence[str] = ()
    ) -> AgentProcess:
        home = self.folder / name
        self._give_backbone(home)
        agent = AgentProcess(
            name,
            home,
            join=join,
            learn=learn,
            backbone=self.options.backbone,
            seed=self.options.seed,
            web=self.options.web,
            arithmetic=self.arithmetic,
        )
        self.agents.append(agent)
        return agent

    def _give_backbone(self, home: Path) -> None:
        """Copy the backbone's files, so that all agents use the same backbone."""
        opened = resolve_home(home)
        source = resolve_home(self.options.home).backbones
        name = self.options.backbone
        if name and (source / name).is_dir():
            shutil.copytree(source / name, opened.backbones / name)

    @staticmethod
    def _endpoint(agent: AgentProcess) -> str:
        event = agent.wait_for(
            lambda e: e["event"] == "ready", "the start", time.monotonic() + SHARE_DEADLINE_S
        )
        return str(event["endpoint"])

    @staticmethod
    def _wait_saved(agent: AgentProcess, task: str, deadline_s: float) -> None:
        event = agent.wait_for(
            lambda e: e["event"] in {"saved", "error"} and e.get("task") == task,
            f"the skill of {task}",
            deadline_s,
        )
        if event["event"] == "error":
            raise TeachmeshError(f"{agent.name} could not learn {task}: {event['message']}")

    def _wait_equal(self, agents: Sequence[AgentProcess], deadline_s: float) -> None:
        """Wait until all agents have all skills; equality of banks is measured later."""
        for agent in agents:
            agent.wait_for(
                lambda e: e["event"] == "stats" and e["count"] >= len(self.paths),
                f"all {len(self.paths)} skills",
                deadline_s,
            )

    @staticmethod
    def _state(agent: AgentProcess) -> dict[str, Any]:
        state = agent.last("stats")
        if state is None:
            raise TeachmeshError(f"{agent.name} sent no status: {agent.log_tail()}")
        return state


def _learning_s(agent: AgentProcess) -> float:
    """Return the seconds an agent spent on learning; start-up is excluded, as in the paper."""
    seconds = (float(e["wall_s"]) for e in agent.events if e["event"] == "saved")
    return round(sum(seconds), 2)


def _confusion(answers: HomeAnswers) -> list[list[int]]:
    """Return a (T, T) matrix that counts images by true task (row) and answered task (column)."""
    size = len(answers.tasks)
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (answers.answers[:, 0], answers.answers[:, 1]), 1)
    return [[int(value) for value in row] for row in counts]


def _name(number: int) -> str:
    return NAMES[number] if number < len(NAMES) else f"agent{number + 1}"
