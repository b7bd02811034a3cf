"""A skill that makes a mapper fail is set aside with the reason, and the others answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.packet.signing import sign
from teachmesh.packet.skill import Skill
from tests.extending.conftest import See, write_package

MODULE = """
import numpy as np
from nearest_mean_mapper import NearestMeanAnchor, NearestMeanMapper

class PickyAnchor(NearestMeanAnchor):
    kind = "picky"

class PickyMapper(NearestMeanMapper):
    kind = "picky"
    anchor_type = PickyAnchor

    @classmethod
    def fit(cls, *args):
        return PickyAnchor(super().fit(*args).means)

    def _score(self, latents):
        assert all(self.anchor(key).means.max() != 1001 for key in self.keys()), "early"
        found = [super(PickyMapper, self).familiarity(key, latents) for key in self.keys()]
        return np.stack(found, axis=1), None

    def familiarity(self, key, latents):
        assert self.anchor(key).means.max() != 1002, "late"
        return super().familiarity(key, latents)
"""


@pytest.mark.parametrize(("mark", "reason"), [(1001, "early"), (1002, "late")])
def test_a_skill_that_makes_its_mapper_fail_is_set_aside(
    examples: Path, see: See, tmp_path: Path, warm: Path, cold: Path, mark: int, reason: str
) -> None:
    """It fails in the scores of all tasks, or only after its task was chosen."""
    write_package(
        tmp_path / "site",
        "picky-package",
        {"teachmesh.mappers": {"picky": "picky_module:PickyMapper"}},
        picky_module=MODULE,
    )
    see(examples)
    see(tmp_path / "site")
    agent = Agent(tmp_path / "home", mapper="picky")
    agent.learn(warm)
    peer = Agent(tmp_path / "peer", mapper="picky")
    skill = peer.bank.load(peer.learn(cold).skill_id).skill
    means = np.array(skill.tensors["picky.means"])
    means[2] = mark
    card = dataclasses.replace(skill.card, task="faulty")
    agent.receive(sign(Skill(card, {**skill.tensors, "picky.means": means}), peer.key).data)
    assert agent.predict_one(cold / "blue" / "00.png").task == "warm"
    faults = {info.task: info.reason for info in agent.infos() if not info.usable}
    assert faults == {"faulty": f"it fails in predictions: AssertionError: {reason}"}
