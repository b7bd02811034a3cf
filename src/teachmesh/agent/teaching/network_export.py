"""Export one skill as a network that runs without teachmesh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from teachmesh.bank.output_file import write_file
from teachmesh.biases.apply_biases import fold_biases
from teachmesh.biases.second_pass import SecondPass
from teachmesh.data.names import shown
from teachmesh.errors import DataError, UsageError
from teachmesh.learning.fit_method import linear_within
from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.model.backbone_cards import known_fingerprints
from teachmesh.model.backbone_registry import load_backbone
from teachmesh.model.task_network import Branch, TaskNetwork, export_program

if TYPE_CHECKING:
    from torch import nn

    from teachmesh.agent.teaching.learning_agent import LearningAgent
    from teachmesh.mapping.metric import Metric
    from teachmesh.model.backbone import Backbone
    from teachmesh.packet.skill import Skill

CLASSES_FILE = "classes.json"
"""File inside the exported program with the class names, in the order of the outputs."""


def export_network(agent: LearningAgent, selector: str, path: Path) -> int:
    """Write the classifier of one skill's task as a `torch.export` program.

    Beneficial biases are added to the network's own biases. The program chooses the classes that an
    agent chooses if the task is given, because a skill alone decides within its task.

    Args:
        agent: owner of the bank.
        selector: task name, `task@alias` or the first characters of an id.
        path: file to write.

    Returns:
        Size of the file in bytes.

    Raises:
        DataError: the skill does not exist, or its backbone is not installed.
        UsageError: the skill uses Head2Toe, whose features come from many layers.
        StorageError: the file cannot be written.
    """
    info = agent.find(selector)
    skill = agent.bank.load(info.id).skill
    backbone = backbone_of(agent, skill)
    network = network_of(backbone, skill)
    classes = json.dumps(list(skill.card.classes), ensure_ascii=False)
    data = export_program(network, backbone.size, {CLASSES_FILE: classes})
    write_file(path, data)
    return len(data)


def network_of(backbone: Backbone, skill: Skill, *, compact: bool = False) -> TaskNetwork:
    """Build a skill's network: a branch with biases, one without, or their weighted sum.

    Args:
        backbone: the backbone of the skill.
        skill: the skill to export.
        compact: see `model.task_network.Preprocess`.

    Raises:
        UsageError: the skill uses Head2Toe, whose features come from many layers.
    """
    net, key = backbone.forward_pass.net, "task"
    biased = SecondPass(backbone, {key: skill}).biased(key)
    if biased is None:
        branch = _without_biases(net, skill, backbone.reference.metric)
        return TaskNetwork(backbone, [branch], compact=compact)
    if biased.features == "head2toe":
        raise UsageError(
            "expected biases whose head reads the latents, got bb-h2t, whose head reads single "
            "feature maps; learn the task with +bb to export it as a network"
        )
    folded = fold_biases(net, biased.layout, biased.values)
    branches = [Branch(folded, biased.features, biased.head, biased.weight)]
    if biased.weight < 1:
        branches.append(_without_biases(net, skill, backbone.reference.metric, 1 - biased.weight))
    return TaskNetwork(backbone, branches, compact=compact)


def backbone_of(agent: LearningAgent, skill: Skill) -> Backbone:
    """Load the backbone of the skill onto the CPU."""
    fingerprint = skill.card.backbone_fingerprint
    name = known_fingerprints(agent.home.backbones).get(fingerprint)
    if name is None:
        raise DataError(
            f"expected the backbone that '{shown(skill.card.task)}' was learned with "
            f"({fingerprint[:12]}), it is not here; import it with teachmesh backbone import"
        )
    return load_backbone(agent.home.backbones, name, torch.device("cpu"))


def _without_biases(net: nn.Module, skill: Skill, metric: Metric, weight: float = 1.0) -> Branch:
    # The anchor of another method is not read, so its package need not be installed.
    anchor = skill.anchor(MomentsAnchor.kind) if skill.card.method == MomentsAnchor.kind else None
    if isinstance(anchor, MomentsAnchor):
        return Branch(net, anchor.latent, linear_within(anchor, metric), weight)
    head = skill.head()
    assert head is not None  # skills of other methods are admitted only with a head
    return Branch(net, "last", head, weight)
