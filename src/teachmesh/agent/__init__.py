"""Agents, which learn tasks (teacher) and classify images (student).

- `agent`: `Agent`, with all that the commands do.
- `learning_agent`: `LearningAgent`, with its main method `learn`.
- `answering`: `AnsweringAgent`, with its main method `predict_many`.
- `synced_agent`: `SyncedAgent`, whose student follows the changes of its bank.
- `agent_threads`, `argument_checks`: decorators for threads, and for values of the wrong type.
- `bank_view`: `BankView`: key, bank and catalogue of an agent, without loading a network.
- `student`: classifies images with all skills of a bank.
- `answer_writer`: turns decisions into a `prediction` with names, authors, equivalent classes.
- `learn_task`: options and result of learning one task.
- `match_task`, `combine_classes`: match a folder with the bank; combine the bank's classes.
- `evaluate_task`: measures accuracies on the test images of one task.
- `skill_mapping`: `agent.skills`, and exported files.
- `catalogue`: descriptions of the skills of a bank; `skill_names`: their names.
- `replace_skill`: checks that a new version of a skill is not worse than the old one.
- `skill_versions`: the versions of a task, and how its author restores one.
- `second_passes`: second passes of images whose latents are known.
- `share_skills`, `node`: a running agent that watches its bank, learns and shares.
- `state_report`: its state, as events and as a file. `run_endpoints`: its endpoints.
- `bundle_skills`: all skills as one file, for machines without a network.
- `known_source`: recognises a task that was learned before.
- `network_export`: exports one skill as a network that runs without teachmesh.
- `backbones`: add, list, export, import and fetch backbones of a home.
- `checkup`: the checks of `teachmesh doctor`.

The names below are imported when they are first used, because most of them need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teachmesh.agent.agent import Agent
    from teachmesh.agent.catalogue import SkillInfo
    from teachmesh.agent.combine_classes import Combination
    from teachmesh.agent.evaluate_task import Evaluation
    from teachmesh.agent.learn_task import LearnOptions, LearnResult
    from teachmesh.agent.node import Node
    from teachmesh.agent.prediction import Alternative, Answers, Prediction
    from teachmesh.agent.skill_mapping import Exported, SkillMapping

_MODULES = {
    "Agent": "agent",
    "Alternative": "prediction",
    "Answers": "prediction",
    "Combination": "combine_classes",
    "Evaluation": "evaluate_task",
    "Exported": "skill_mapping",
    "LearnOptions": "learn_task",
    "LearnResult": "learn_task",
    "Node": "node",
    "Prediction": "prediction",
    "SkillInfo": "catalogue",
    "SkillMapping": "skill_mapping",
}

__all__ = [
    "Agent",
    "Alternative",
    "Answers",
    "Combination",
    "Evaluation",
    "Exported",
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
