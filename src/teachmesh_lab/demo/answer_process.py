"""Classify all test images with one agent's home: `python -m teachmesh_lab.demo.answer_process`.

Every agent of the demo gets its own process, so that agents share nothing except files.
`answer_homes` starts these processes, two at a time.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachmesh.agent import Agent
from teachmesh.agent.answers.second_passes import second_passes
from teachmesh.biases.bias_task import readable
from teachmesh.data.tasks import Task, find_tasks, read_task
from teachmesh.errors import NetworkError, TeachmeshError
from teachmesh.model.embedding import embed_images, labelled
from teachmesh.model.number_type import USUAL, Arithmetic
from teachmesh_lab.demo.agent_processes import close_tethered, start_tethered, tail
from teachmesh_lab.evaluation.measure import measure

DEADLINE_S = 3600.0
PARALLEL = 2
_MODULE = "teachmesh_lab.demo.answer_process"


@dataclass(frozen=True, eq=False)
class HomeAnswers:
    """Answers of one home for all test images, in the order of tasks and images.

    Attributes:
        tasks: names of the tasks.
        mapper: (T,) fraction of images with the right task.
        oracle: (T,) fraction of images with the right class, given the task.
        final: (T,) fraction of images with the right task and class in the agent's answers.
        direct: (T,) the same if the best of all classes of all tasks were chosen.
        answers: (N, 3) int64 array with the image's task, the answered task and the answered class.
        skills: number of skills in the home's bank.
        digest: digest of the home's bank on disk.
    """

    tasks: tuple[str, ...]
    mapper: np.ndarray
    oracle: np.ndarray
    final: np.ndarray
    direct: np.ndarray
    answers: np.ndarray
    skills: int
    digest: str


def answer_home(
    home: Path,
    tasks_dir: Path,
    backbone: str | None,
    seed: int,
    arithmetic: Arithmetic = USUAL,
) -> HomeAnswers:
    """Classify the test images of all tasks in a folder with one home.

    Args:
        home: home folder of the agent.
        tasks_dir: folder of tasks.
        backbone: alias of the backbone, or None for the default.
        seed: seed for splits.
        arithmetic: engine and number type of latents.
    """
    agent = Agent(home, backbone=backbone, **arithmetic._asdict())
    tasks = [read_task(path, seed=seed) for path in find_tasks(tasks_dir)]
    tests = {}
    images = {}
    answers = []
    for number, task in enumerate(tasks):
        embedded = embed_images(agent.backbone, task.test.images)
        test = tests[task.name] = labelled(task.test, embedded)
        images[task.name] = readable(task.test.images, embedded)
        decisions = agent.sync().decide(test.latents)
        given = second_passes(agent, decisions, images[task.name])
        chosen, classes = given(decisions.answer()[0]).answer()
        numbers = np.array([_number(agent, skill_id, tasks) for skill_id in decisions.skill_ids])
        answers.append(np.stack([np.full(len(test), number), numbers[chosen], classes], axis=1))
    scores = measure(agent, {task.name: task.classes for task in tasks}, tests, images)
    return HomeAnswers(
        tuple(score.name for score in scores),
        np.array([score.mapper for score in scores]),
        np.array([score.oracle for score in scores]),
        np.array([score.final for score in scores]),
        np.array([score.final if score.direct is None else score.direct for score in scores]),
        np.concatenate(answers).astype(np.int64),
        len(agent.bank.ids()),
        agent.digest(),
    )


def _number(agent: Agent, skill_id: str, tasks: Sequence[Task]) -> int:
    """Return the position of a skill's task in `tasks`, or `len(tasks)` if it is missing."""
    names = [task.name for task in tasks]
    name = agent.sync().skill(skill_id).card.task
    return names.index(name) if name in names else len(names)


def load_answers(path: Path) -> HomeAnswers:
    """Read answers written by `main`."""
    with np.load(path, allow_pickle=False) as stored:
        return HomeAnswers(
            tuple(str(name) for name in stored["tasks"]),
            stored["mapper"],
            stored["oracle"],
            stored["final"],
            stored["direct"],
            stored["answers"],
            int(stored["skills"]),
            str(stored["digest"]),
        )


def answer_homes(
    homes: Sequence[Path],
    tasks_dir: Path,
    *,
    backbone: str | None = None,
    seed: int = 0,
    arithmetic: Arithmetic = USUAL,
    deadline_s: float = DEADLINE_S,
) -> list[HomeAnswers]:
    """Run `answer_home` for every home, each in its own process.

    Args:
        homes: homes of agents; `<home>.npz` and `<home>.answers.log` are written next to them.
        tasks_dir: folder of tasks.
        backbone: alias of the backbone, or None for the default.
        seed: seed for splits.
        arithmetic: engine and number type of latents.
        deadline_s: maximum number of seconds for one home.

    Raises:
        TeachmeshError: a process failed; the message has the last lines of its log.
        NetworkError: a process did not end in time.
    """
    options = ["--tasks", str(tasks_dir), "--seed", str(seed)]
    options += ["--engine", arithmetic.engine, "--dtype", arithmetic.dtype]
    options += ["--backbone", backbone] if backbone else []
    running: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for home in homes:
            if len(running) >= PARALLEL:
                _finish(*running[0], deadline_s)
                running.pop(0)
            arguments = [*options, "--home", str(home), "--out", str(_beside(home, ".npz"))]
            with _beside(home, ".answers.log").open("wb") as errors:
                process = start_tethered(_MODULE, arguments, stderr=errors)
            running.append((process, home))
        while running:
            _finish(*running[0], deadline_s)
            running.pop(0)
    finally:
        # The processes that remain in the list are still running.
        for process, _ in running:
            process.kill()
            close_tethered(process)
    return [load_answers(_beside(home, ".npz")) for home in homes]


def _finish(process: subprocess.Popen[bytes], home: Path, deadline_s: float) -> None:
    try:
        process.wait(deadline_s)
    except subprocess.TimeoutExpired as error:
        raise NetworkError(
            f"expected the answers of {home.name} within {deadline_s:.0f} s, got none"
        ) from error
    if close_tethered(process) != 0 or not _beside(home, ".npz").exists():
        log = tail(_beside(home, ".answers.log"))
        raise TeachmeshError(f"{home.name} could not answer: {log}")


def _beside(home: Path, ending: str) -> Path:
    return home.parent / (home.name + ending)


def main() -> None:
    """Classify the test images and write the answers to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--dtype", default="fp32")
    options = parser.parse_args()
    arithmetic = Arithmetic(options.engine, options.dtype)
    found = answer_home(options.home, options.tasks, options.backbone, options.seed, arithmetic)
    np.savez(
        options.out,
        tasks=np.array(found.tasks),
        mapper=found.mapper,
        oracle=found.oracle,
        final=found.final,
        direct=found.direct,
        answers=found.answers,
        skills=found.skills,
        digest=found.digest,
    )


if __name__ == "__main__":
    main()
