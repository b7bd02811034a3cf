"""Every test image answered by one home: `python -m skillmesh.experiments.answering`.

Run in a process of its own for every agent of the demo, so that nothing is shared but the files.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skillmesh.agent import Agent
from skillmesh.data.tasks import Task, find_tasks, read_task
from skillmesh.experiments.measure import measure
from skillmesh.training.embedding import embed_images, labelled


@dataclass(frozen=True, eq=False)
class HomeAnswers:
    """What one home answers for all test images, in the order of tasks and images.

    Attributes:
        tasks: names of the tasks.
        mapper: (T,) fraction of right tasks.
        oracle: (T,) right class, task given.
        direct: (T,) right class of all classes of all tasks.
        answers: (N, 3) int64: task of the image, task answered, class answered.
    """

    tasks: tuple[str, ...]
    mapper: np.ndarray
    oracle: np.ndarray
    direct: np.ndarray
    answers: np.ndarray


def answer_home(
    home: Path, tasks_dir: Path, backbone: str | None, seed: int, only: Sequence[str] | None = None
) -> HomeAnswers:
    """Answer for the test images of all tasks of a folder with what a home knows.

    Args:
        home: folder of the agent.
        tasks_dir: folder of tasks.
        backbone: alias, or None for the default.
        seed: of splits.
        only: names of tasks; all by default.
    """
    agent = Agent(home, backbone=backbone)
    tasks = [read_task(path, seed=seed) for path in find_tasks(tasks_dir, only)]
    tests = {}
    answers = []
    for number, task in enumerate(tasks):
        test = labelled(task.test, embed_images(agent.backbone, task.test.images))
        tests[task.name] = test
        decisions = agent.sync().decide(test.latents)
        chosen, classes = decisions.answer()
        numbers = np.array([_number(agent, skill_id, tasks) for skill_id in decisions.skill_ids])
        answers.append(np.stack([np.full(len(test), number), numbers[chosen], classes], axis=1))
    scores = measure(agent, {task.name: task.classes for task in tasks}, tests)
    return HomeAnswers(
        tuple(score.name for score in scores),
        np.array([score.mapper for score in scores]),
        np.array([score.oracle for score in scores]),
        np.array([score.final if score.direct is None else score.direct for score in scores]),
        np.concatenate(answers).astype(np.int64),
    )


def _number(agent: Agent, skill_id: str, tasks: Sequence[Task]) -> int:
    """Position of a skill's task among the tasks; their count for a task that is not there."""
    names = [task.name for task in tasks]
    name = agent.sync().skill(skill_id).card.task
    return names.index(name) if name in names else len(names)


def load_answers(path: Path) -> HomeAnswers:
    """Read what `main` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return HomeAnswers(
            tuple(str(name) for name in stored["tasks"]),
            stored["mapper"],
            stored["oracle"],
            stored["direct"],
            stored["answers"],
        )


def main() -> None:
    """Answer and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = answer_home(options.home, options.tasks, options.backbone, options.seed)
    np.savez(
        options.out,
        tasks=np.array(found.tasks),
        mapper=found.mapper,
        oracle=found.oracle,
        direct=found.direct,
        answers=found.answers,
    )


if __name__ == "__main__":
    main()
