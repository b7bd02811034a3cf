"""Lifelong-learning agents that teach each other (teachmesh).

Five lines do what the command line does:

    from teachmesh import Agent
    agent = Agent("~/agent")
    agent.learn("photos/screws")
    print(agent.predict("part.jpg"))    # task, class, probability, who taught it

The packages in the order of use:

- `teachmesh.data`: folders, archives and CSV files -> tasks and pixels.
- `teachmesh.model`: the frozen backbone, images -> latents; heads.
- `teachmesh.mapping`: task anchors, and the task mappers made of them.
- `teachmesh.packet`: a skill as signed, deterministic bytes.
- `teachmesh.bank`: the skills of one agent on disk.
- `teachmesh.sharing`: skills between peers, pulled by hash.
- `teachmesh.biases`: beneficial biases, from options to the second pass.
- `teachmesh.reuse`: matching of classes, and transfer from them.
- `teachmesh.learning`: one task -> one skill.
- `teachmesh.agent`: teacher and student in one.
- `teachmesh.cli`: the `teachmesh` command.

The laboratory (benchmarks of methods, demo, evaluation) is a package of its own, `teachmesh_lab`.
Importing `teachmesh` loads neither torch nor numpy; they are loaded with the names below.
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
