"""An exported network: a process without teachmesh gives the answers of the agent."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from teachmesh.agent import Agent
from teachmesh.agent.teaching.network_export import export_network, network_of
from teachmesh.data.loader import iterate_batches
from teachmesh.data.tasks import read_task
from teachmesh.errors import UsageError
from teachmesh.learning.fit_method import Fitted, linear_within, log_within
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.fusion import fuse
from teachmesh.model.backbone import Latents
from teachmesh.model.task_network import export_program
from teachmesh.packet.skill import Skill
from tests.biases.test_second_pass import WIDTHS, by_hand, skill_of
from tests.cli.test_commands import run, run_json
from tests.learned_homes import LearnedHomes
from tests.mapping.latents import make_anchor, make_sample, sample_metric
from tests.model.nets import pictures, state_sha256, tiny_backbone

WITHOUT_TEACHMESH = """
import json, sys
import numpy as np, torch
extra = {"classes.json": ""}
network = torch.export.load(sys.argv[1], extra_files=extra).module()
images = torch.from_numpy(np.load(sys.argv[2]))
assert "teachmesh" not in sys.modules
parts = [network(images[:1]), network(images[1:])]
np.save(sys.argv[3], torch.cat(parts).numpy())
print(json.dumps(json.loads(extra["classes.json"])))
"""


def test_a_process_without_teachmesh_answers_as_the_agent(
    learned: LearnedHomes, warm: Path, tmp_path: Path
) -> None:
    """One image and five: the program gives the probabilities of `predict --task`."""
    agent = Agent(learned.copy(tmp_path / "home", "warm"))
    before = state_sha256(agent.backbone)
    file = tmp_path / "warm.pt2"
    assert export_network(agent, "warm", file) == file.stat().st_size
    assert state_sha256(agent.backbone) == before
    images = read_task(warm).test.images[:6]
    (batch,) = iterate_batches(images, agent.backbone.size, batch_size=6)
    np.save(tmp_path / "images.npy", batch.images.numpy())
    arguments = [str(file), str(tmp_path / "images.npy"), str(tmp_path / "answers.npy")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TEACHMESH, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    classes = json.loads(done.stdout)
    answers = np.load(tmp_path / "answers.npy")
    said = agent.predict([str(image) for image in images], task="warm")
    for row, prediction in zip(answers, said, strict=True):
        assert classes[int(row.argmax())] == prediction.class_name
        assert np.exp(row.max()) == pytest.approx(prediction.probability, abs=2e-4)


@pytest.mark.parametrize(("which", "features"), [("all", "multi"), ("last:1", "last")])
def test_biases_are_folded_in_and_fused_with_the_weight_on_the_card(
    which: str, features: str
) -> None:
    """The answers equal those of both passes, computed by hand and fused in equal shares."""
    backbone = tiny_backbone()
    skill = with_moments(skill_of(which, features, 5), WIDTHS["multi"])
    images = pictures(7)
    anchor = skill.anchor("moments")
    assert anchor is not None
    fitted = Fitted({"moments": anchor}, None, None)
    without = log_within(fitted, "moments", backbone.embed(images), backbone.reference.metric)
    with_biases = np.stack([by_hand(backbone, skill, image) for image in images])
    network = network_of(backbone, skill)
    expected = fuse(without, with_biases, 0.5)
    np.testing.assert_allclose(network(images).numpy(), expected, atol=1e-4)
    program = torch.export.load(io.BytesIO(export_program(network, backbone.size, {}))).module()
    np.testing.assert_allclose(program(images).numpy(), expected, atol=1e-4)
    alone = network_of(backbone, whole_weight(skill))
    assert len(alone.nets) == 1
    np.testing.assert_allclose(alone(images).numpy(), with_biases, atol=1e-4)


def with_moments(skill: Skill, dim: int) -> Skill:
    """The skill with moments as its method."""
    sample = make_sample(9, n_classes=3, per_class=20, dim=dim)
    anchor = make_anchor("moments", sample)
    tensors = {f"moments.{name}": array for name, array in anchor.tensors().items()}
    card = dataclasses.replace(skill.card, anchors=("moments",), method="moments")
    return Skill(card, {**skill.tensors, **tensors})


def whole_weight(skill: Skill) -> Skill:
    """The skill with full weight on the decision with biases."""
    assert skill.card.biases is not None
    biases = dataclasses.replace(skill.card.biases, weight=1.0)
    return Skill(dataclasses.replace(skill.card, biases=biases), skill.tensors)


def test_feature_maps_are_not_exported() -> None:
    """The error is one sentence with a remedy."""
    with pytest.raises(UsageError, match="bb-h2t"):
        network_of(tiny_backbone(), skill_of("all", "head2toe", 1, width=12))


def test_class_moments_are_a_linear_head_within_their_task() -> None:
    """The metric is linear too, so that one head on latents suffices."""
    sample, metric = make_sample(3, n_classes=4, per_class=30), sample_metric()
    anchor = make_anchor("moments", sample)
    assert isinstance(anchor, MomentsAnchor)
    latents = Latents(sample.latents, sample.latents)
    wanted = log_within(Fitted({"moments": anchor}, None, None), "moments", latents, metric)
    head = linear_within(anchor, metric)
    logits = torch.from_numpy(head.logits(sample.latents).astype(np.float64))
    np.testing.assert_allclose(torch.log_softmax(logits, 1).numpy(), wanted, atol=1e-5)


@pytest.mark.usefixtures("warm_is_known")
def test_the_command_describes_the_file(tmp_path: Path) -> None:
    """The output also names the limits of the exported network."""
    file = tmp_path / "n.pt2"
    document = run_json("skills", "export", "warm", "--network", str(file))
    assert document["size_bytes"] == file.stat().st_size
    both = ("skills", "export", "warm", "--network", str(file), "--output", "x", "--json")
    assert "got several" in json.loads(run(*both, code=2).stdout)["message"]
    check = ("skills", "export", "warm", "--check", "x", "--json")
    assert "--onnx" in json.loads(run(*check, code=2).stdout)["message"]
