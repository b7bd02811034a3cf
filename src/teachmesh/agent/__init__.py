"""An agent: teacher and student in one.

- `bank_view`: identity and bank of an agent, for people.
- `agent`: `Agent`, the five lines of Python and everything that the command line does.
- `student`: what the skills of a bank amount to together: latents -> task, class, "unknown".
- `catalogue`: the skills of a bank, for people.
- `learn_result`: what learning one task gave.
- `first_pass`: from images that somebody asks about to answers: first pass, decisions, second pass.
- `second_pass`: images through the backbone with the biases of the task they were mapped to;
  `refining`: decisions with what that says.
- `answers`: from decisions to answers.
- `prediction`: what an agent answers.
- `node`: an agent as a process: watches its bank, learns, shares.
- `bank_inventory`: how sharing sees an agent's bank.
- `backbones`: add, list, export and import backbones of a home.
- `checkup`: what `teachmesh doctor` looks at.
"""

from teachmesh.agent.agent import Agent
from teachmesh.agent.catalogue import SkillInfo
from teachmesh.agent.learn_result import LearnResult
from teachmesh.agent.prediction import Alternative, Answers, Prediction

__all__ = ["Agent", "Alternative", "Answers", "LearnResult", "Prediction", "SkillInfo"]
