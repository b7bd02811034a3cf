"""Lifelong-learning agents that teach each other (skillmesh).

Five lines do what the command line does:

    from skillmesh import Agent
    agent = Agent("~/agent")
    agent.learn("photos/screws")
    print(agent.predict("part.jpg"))    # task, class, probability, who taught it

The code in the order of use:

- `skillmesh.data`: folders, archives and CSV files -> tasks and pixels.
- `skillmesh.model`: the frozen backbone, images -> latents; heads.
- `skillmesh.mapping`: task anchors and the task mappers made of them.
- `skillmesh.packet`: a skill as signed, deterministic bytes.
- `skillmesh.bank`: the skills that one agent holds, on disk.
- `skillmesh.training`: one task -> one skill.
- `skillmesh.sharing`: skills between peers, pulled by hash.
- `skillmesh.agent`: teacher and student in one.
- `skillmesh.experiments`: evaluation and the demo.
- `skillmesh.cli`: the `skillmesh` command.

Importing this package loads neither torch nor numpy; the names below load what they need when
they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skillmesh.version import __version__

if TYPE_CHECKING:
    from skillmesh.agent import Agent, LearnResult, Prediction
    from skillmesh.errors import SkillmeshError

_WHERE = {
    "Agent": "skillmesh.agent",
    "LearnResult": "skillmesh.agent",
    "Prediction": "skillmesh.agent",
    "SkillmeshError": "skillmesh.errors",
}

__all__ = ["Agent", "LearnResult", "Prediction", "SkillmeshError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'skillmesh' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
