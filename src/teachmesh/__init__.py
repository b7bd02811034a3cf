"""Lifelong-learning agents that teach each other (teachmesh).

Learn a task and classify an image:

    from teachmesh import Agent
    agent = Agent("~/agent")
    agent.learn("photos/screws")
    print(agent.predict("part.jpg"))    # task, class, probability, author

Packages:

- `teachmesh.data`: reads tasks and pixels from folders, archives and CSV files.
- `teachmesh.model`: the frozen backbone (turns images into latents) and linear heads.
- `teachmesh.mapping`: task anchors, and the task mappers built from them.
- `teachmesh.packet`: skills as signed, deterministic bytes.
- `teachmesh.bank`: the skills of one agent, stored on disk.
- `teachmesh.sharing`: exchange of skills between peers, which request them by hash.
- `teachmesh.biases`: options, training and second forward pass of beneficial biases.
- `teachmesh.reuse`: matching with known classes, and transfer from the matches.
- `teachmesh.learning`: learns a skill from one task.
- `teachmesh.agent`: agents, which learn tasks (teacher) and classify images (student).
- `teachmesh.cli`: the `teachmesh` command.

Benchmarks, the demo and the evaluation are in a separate package, `teachmesh_lab`.
Importing `teachmesh` loads neither torch nor numpy; using one of the names below loads them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.agent import Agent, LearnResult, Prediction
    from teachmesh.errors import TeachmeshError

_WHERE = {
    "Agent": "teachmesh.agent",
    "LearnResult": "teachmesh.agent",
    "Prediction": "teachmesh.agent",
    "TeachmeshError": "teachmesh.errors",
}

__all__ = ["Agent", "LearnResult", "Prediction", "TeachmeshError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'teachmesh' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
