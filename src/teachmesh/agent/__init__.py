"""Agents, which learn tasks (teacher) and classify images (student).

- `agent`: `Agent`, with its main methods `learn` and `predict_many`.
- `bank_view`: `BankView`: key, bank and catalogue of an agent, without loading a network.
- `student`: classifies images with all skills of a bank.
- `prediction`: turns decisions into answers with names, authors and equivalent classes.
- `learn_task`: options and result of learning one task.
- `match_task`, `combine_classes`: match a folder with the bank; combine the bank's classes.
- `catalogue`: descriptions of the skills of a bank; `skill_names`: their names.
- `replace_skill`: checks that a new version of a skill is not worse than the old one.
- `skill_versions`: the versions of a task, and how its author restores one.
- `node`: a running agent that watches its bank, learns and shares.
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
    from teachmesh.agent.learn_task import LearnOptions, LearnResult
    from teachmesh.agent.prediction import Alternative, Answers, Prediction

_MODULES = {
    "Agent": "agent",
    "Alternative": "prediction",
    "Answers": "prediction",
    "LearnOptions": "learn_task",
    "LearnResult": "learn_task",
    "Prediction": "prediction",
    "SkillInfo": "catalogue",
}

__all__ = [
    "Agent",
    "Alternative",
    "Answers",
    "LearnOptions",
    "LearnResult",
    "Prediction",
    "SkillInfo",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
