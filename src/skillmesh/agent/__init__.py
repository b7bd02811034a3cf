"""An agent: teacher and student in one.

- `agent`: `Agent`, the five lines of Python and everything that the command line does.
- `student`: what the skills of a bank amount to together: latents -> task, class, "unknown".
- `prediction`: what an agent answers.
- `node`: an agent as a process: watches its bank, learns, shares.
- `inventory`: how sharing sees an agent's bank.
- `backbones`: add, list, export and import backbones of a home.
- `checkup`: what `skillmesh doctor` looks at.
"""

from skillmesh.agent.agent import Agent, LearnResult, SkillInfo
from skillmesh.agent.prediction import Alternative, Answers, Prediction

__all__ = ["Agent", "Alternative", "Answers", "LearnResult", "Prediction", "SkillInfo"]
