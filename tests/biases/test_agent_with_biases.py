"""Skills with and without biases share a bank without affecting each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from teachmesh.agent import Agent
from teachmesh.packet.codec import decode
from teachmesh_lab.evaluation.evaluate import EvaluateOptions, run_evaluate
from tests.conftest import write_task
from tests.model.nets import state_sha256


def test_skills_with_and_without_biases_live_in_one_bank(
    tmp_path: Path, warm: Path, cold: Path
) -> None:
    """A peer answers like the teacher; the backbone and the other task stay as they were."""
    teacher, peer = Agent(tmp_path / "teacher"), Agent(tmp_path / "peer")
    weights = state_sha256(teacher.backbone)
    plain = teacher.learn(cold)
    before = teacher.predict_many(cold, task="cold")
    found = teacher.learn(warm, bb="last:2", bb_passes=4)
    assert found.biases is not None
    for skill_id in (plain.skill_id, found.skill_id):
        peer.receive(teacher.read(skill_id), expected_id=skill_id)
    assert state_sha256(teacher.backbone) == weights
    after = teacher.predict_many(cold, task="cold")
    assert [p.probability for p in after.predictions] == [p.probability for p in before.predictions]
    mine, theirs = teacher.predict_many(warm), peer.predict_many(warm)
    assert [p.class_name for p in mine.predictions] == [p.class_name for p in theirs.predictions]
    np.testing.assert_allclose(
        [p.probability for p in mine.predictions], [p.probability for p in theirs.predictions]
    )
    assert decode(teacher.read(found.skill_id)).skill.card.biases == found.biases


def test_head2toe_is_learned_within_its_budget(tmp_path: Path, warm: Path) -> None:
    """The last pass over the training images counts toward the budget; only the head is new."""
    agent = Agent(tmp_path / "home")
    found = agent.learn(warm, method="bb-h2t", bb="last:2", bb_passes=5)
    assert found.method == "maha"
    assert found.biases is not None
    assert found.biases.features == "head2toe"
    assert 0 < found.biases.passes <= 4.1
    assert found.biases.accuracy_with >= found.biases.accuracy_without or not found.biases.weight
    agent = Agent(tmp_path / "home", mapper="bb-h2t")
    kept = {found.skill_id} if found.biases.weight else set()
    assert agent.sync().biased().keys() == kept
    answers = agent.predict_many(warm).predictions
    # With three classes, chance is a third.
    right = [Path(p.image).parent.name == p.class_name for p in answers]
    assert np.mean(right) > 0.75


def test_evaluate_counts_biases_and_resumes(tmp_path: Path) -> None:
    """Ctrl-C loses one training; a third run trains nothing and prints the same.

    `backbone_passes` is within the budget.
    """
    folder = tmp_path / "tasks"
    for name in ("warm", "cold"):
        write_task(folder, name)
    options = EvaluateOptions(folder, method="maha+bb", bb="last:2", bb_passes=4.0, home=tmp_path)
    begun: list[str] = []

    def stop_at_warm(text: str) -> None:
        begun.append(text)
        if "warm" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_evaluate(options, remark=stop_at_warm)
    first, again = (run_evaluate(options, remark=begun.append) for _ in range(2))
    assert begun == [f"training biases of {name}" for name in ("cold", "warm", "warm")]
    assert first["method"] == "maha+bb"
    assert 1 < first["cost"]["backbone_passes"] <= 4.1
    assert first["cost"] == again["cost"]
    for one, other in zip(first["tasks"], again["tasks"], strict=True):
        # The card holds the seconds that learning took, which vary by a few digits.
        assert abs(one.pop("skill_bytes") - other.pop("skill_bytes")) <= 16
        assert one == other
    for task in first["tasks"]:
        biases = task["biases"]
        assert (biases["choice"], biases["layers"], biases["features"]) == ("last:2", 2, "last")
        assert 0 < biases["passes"] <= 3
    assert len(list((tmp_path / "cache" / "biases").iterdir())) == 2
