"""Homes with learned tasks: learned once per process, and copied for each test that needs one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

from teachmesh.agent import Agent


class LearnedHomes:
    """Homes of agents that learned tasks; nobody changes the originals.

    Args:
        folder: empty folder for the originals.
        write: function that writes a task of some name into a folder and returns its path.
    """

    def __init__(self, folder: Path, write: Callable[[Path, str], Path]) -> None:
        self._folder, self._write = folder, write
        self._made: dict[object, Path] = {}

    def copy(self, target: Path, *tasks: str, agent: str = "one", **options: Any) -> Path:
        """Return `target`, a copy of the home of an agent that learned tasks in this order.

        Copies with the same `agent` have the same key, so they are the same agent.

        Args:
            target: folder that does not exist yet.
            tasks: names of tasks that `write` knows.
            agent: tells agents apart.
            options: options of `Agent.learn` for every task.
        """
        return copytree(self._original(tasks, agent, options), target)

    def _original(self, tasks: tuple[str, ...], agent: str, options: dict[str, Any]) -> Path:
        key = (agent, tasks, tuple(sorted(options.items())) if tasks else ())
        if key not in self._made:
            home = self._folder / str(len(self._made))
            self._made[key] = home
            if tasks:
                copytree(self._original(tasks[:-1], agent, options), home)
            learner = Agent(home)
            for task in tasks[-1:]:
                learner.learn(self._write(self._folder / "tasks", task), **options)
            learner.bank.close()
        return self._made[key]
