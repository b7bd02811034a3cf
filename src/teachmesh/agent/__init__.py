"""An agent: teacher and student in one.

- `agent`: `Agent`, with the two walks `learn` and `predict_many`.
- `bank_view`: identity and bank of an agent, for people.
- `student`: images -> latents -> decisions, with all skills of a bank.
- `prediction`: decisions -> answers with names, authors and equivalent classes.
- `learn_task`: options and result of learning one task.
- `match_task`, `combine_classes`: match a folder with the bank; make a task from known classes.
- `catalogue`: the skills of a bank, for people.
- `node`: an agent as a process: watches its bank, learns, shares.
- `network_export`: one skill as a network that runs without teachmesh.
- `backbones`: add, list, export and import backbones of a home.
- `checkup`: the checks of `teachmesh doctor`.
"""

from teachmesh.agent.agent import Agent
from teachmesh.agent.catalogue import SkillInfo
from teachmesh.agent.learn_task import LearnOptions, LearnResult
from teachmesh.agent.prediction import Alternative, Answers, Prediction

__all__ = [
    "Agent",
    "Alternative",
    "Answers",
    "LearnOptions",
    "LearnResult",
    "Prediction",
    "SkillInfo",
]
