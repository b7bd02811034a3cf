"""Agents, which learn tasks (teacher) and classify images (student).

- `agent`: `Agent`, with all that the commands do.
- `on_mesh`: an agent that runs, watches its bank, learns and shares.
- `teaching`: from images or known classes to a new skill.
- `answers`: from images to predictions.
- `known_skills`: the skills of a bank, without loading a network.
- `backbones`: add, list, export, import and fetch backbones of a home.
- `checkup`: the checks of `teachmesh doctor`.
- `agent_threads`, `argument_checks`: decorators for threads, and for values of the wrong type.
- `skill_faults`: skills that failed in an answer.

Each of these folders imports only those below it.

The names below are imported when they are first used, because most of them need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teachmesh.agent.agent import Agent
    from teachmesh.agent.answers.evaluate_task import Evaluation
    from teachmesh.agent.answers.prediction import Alternative, Answers, Prediction
    from teachmesh.agent.known_skills.catalogue import SkillInfo
    from teachmesh.agent.known_skills.skill_mapping import Exported, SkillMapping
    from teachmesh.agent.on_mesh.node import Node
    from teachmesh.agent.teaching.combine_classes import Combination
    from teachmesh.agent.teaching.learn_task import LearnOptions, LearnResult
    from teachmesh.agent.teaching.onnx_export import ExportedOnnx

_MODULES = {
    "Agent": "agent",
    "Alternative": "answers.prediction",
    "Answers": "answers.prediction",
    "Combination": "teaching.combine_classes",
    "Evaluation": "answers.evaluate_task",
    "Exported": "known_skills.skill_mapping",
    "ExportedOnnx": "teaching.onnx_export",
    "LearnOptions": "teaching.learn_task",
    "LearnResult": "teaching.learn_task",
    "Node": "on_mesh.node",
    "Prediction": "answers.prediction",
    "SkillInfo": "known_skills.catalogue",
    "SkillMapping": "known_skills.skill_mapping",
}

__all__ = [
    "Agent",
    "Alternative",
    "Answers",
    "Combination",
    "Evaluation",
    "Exported",
    "ExportedOnnx",
    "LearnOptions",
    "LearnResult",
    "Node",
    "Prediction",
    "SkillInfo",
    "SkillMapping",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
