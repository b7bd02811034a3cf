"""An image's way through the house, written out, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from teachmesh.agent import Agent
from teachmesh.agent.student import Student
from teachmesh.data.images import decode_upright
from teachmesh.data.pixels import squash


def test_an_image_walks_from_its_bytes_to_task_class_and_teacher(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """Pixels, latents, mapper, class, teacher: each step by hand gives what `predict` answers."""
    agent = Agent(tmp_path / "home")
    agent.learn(warm)
    agent.learn(cold)
    image = sorted((cold / "cyan").iterdir())[0]

    size = agent.backbone.size
    upright = decode_upright(image.read_bytes(), size)  # (H, W, 3) uint8
    pixels = squash(upright[None], size).transpose(0, 3, 1, 2)  # (1, 3, S, S)
    latents = agent.backbone.embed(torch.from_numpy(np.ascontiguousarray(pixels)))
    student = Student("moments")
    student.sync(agent.bank.ids(), lambda skill_id: agent.bank.load(skill_id).skill)
    decisions = student.decide(latents)
    tasks, classes = decisions.answer()
    skill = student.skill(decisions.skill_ids[int(tasks[0])])

    answer = agent.predict(image)
    assert not isinstance(answer, list)
    assert (answer.task, answer.class_name) == ("cold", "cyan")
    assert (skill.card.task, skill.card.classes[int(classes[0])]) == ("cold", "cyan")
    assert answer.skill_id == decisions.skill_ids[int(tasks[0])]
    assert answer.author == agent.id
    assert np.isclose(np.exp(decisions.joint()).sum(), 1)
