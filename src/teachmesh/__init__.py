"""Lifelong-learning agents that teach each other (teachmesh).

Learn a task and classify an image:

    from teachmesh import Agent
    agent = Agent("~/agent")
    agent.learn("photos/screws")
    print(agent.predict_one("part.jpg"))    # task, class, probability, author

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
- `teachmesh.web`: page and API over HTTP, and clients of it.
- `teachmesh.cli`: the `teachmesh` command.

Benchmarks, the demo and the evaluation are in a separate package, `teachmesh_lab`.
`docs/api.md` lists the names below with their methods. The log is `logging.getLogger("teachmesh")`.
Importing `teachmesh` loads neither torch nor numpy; using one of the names below loads them.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from teachmesh.version import __version__

if TYPE_CHECKING:
    from teachmesh.agent import (
        Agent,
        Alternative,
        Answers,
        Combination,
        Evaluation,
        Exported,
        ExportedOnnx,
        LearnOptions,
        LearnResult,
        Node,
        Prediction,
        SkillInfo,
        SkillMapping,
    )
    from teachmesh.errors import (
        BackboneError,
        ConfigError,
        DataError,
        DeviceError,
        MissingExtraError,
        NetworkError,
        SkillRefused,
        StorageError,
        TeachmeshError,
        UnknownSkillError,
        UsageError,
    )
    from teachmesh.web.async_client import AsyncClient
    from teachmesh.web.http_client import Client

_WHERE = {
    "Agent": "agent",
    "Alternative": "agent",
    "Answers": "agent",
    "AsyncClient": "web.async_client",
    "BackboneError": "errors",
    "Client": "web.http_client",
    "Combination": "agent",
    "ConfigError": "errors",
    "DataError": "errors",
    "DeviceError": "errors",
    "Evaluation": "agent",
    "Exported": "agent",
    "ExportedOnnx": "agent",
    "LearnOptions": "agent",
    "LearnResult": "agent",
    "MissingExtraError": "errors",
    "NetworkError": "errors",
    "Node": "agent",
    "Prediction": "agent",
    "SkillInfo": "agent",
    "SkillMapping": "agent",
    "SkillRefused": "errors",
    "StorageError": "errors",
    "TeachmeshError": "errors",
    "UnknownSkillError": "errors",
    "UsageError": "errors",
}

__all__ = [
    "Agent",
    "Alternative",
    "Answers",
    "AsyncClient",
    "BackboneError",
    "Client",
    "Combination",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Evaluation",
    "Exported",
    "ExportedOnnx",
    "LearnOptions",
    "LearnResult",
    "MissingExtraError",
    "NetworkError",
    "Node",
    "Prediction",
    "SkillInfo",
    "SkillMapping",
    "SkillRefused",
    "StorageError",
    "TeachmeshError",
    "UnknownSkillError",
    "UsageError",
    "__version__",
]

# A program that uses teachmesh decides where its log goes; without a handler it is dropped.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'teachmesh' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
