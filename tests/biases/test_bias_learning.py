"""Learning biases from images on disk: its cost, and the final head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from teachmesh.biases.bias_head import TapLatents, costs_with_head, ridge_head
from teachmesh.biases.bias_learning import train_biases
from teachmesh.biases.bias_plan import BiasPlan
from teachmesh.biases.bias_task import BiasTask, TaskImages
from teachmesh.data.loader import iterate_batches
from teachmesh.data.tasks import read_task
from teachmesh.mapping.ridge import RIDGE
from teachmesh.model.head import Head
from tests.biases.bias_samples import N_CLASSES, biased, tiny_backbone


@pytest.fixture
def task(warm: Path) -> BiasTask:
    """A task of three classes for a backbone of two convolutions."""
    read = read_task(warm)
    weight = np.random.default_rng(3).normal(0, 0.5, (N_CLASSES, 7)).astype(np.float32)
    labels = read.validation.labels
    return BiasTask(
        backbone=tiny_backbone(),
        method="maha",
        images=TaskImages(read.train.images, read.validation.images),
        train_labels=read.train.labels,
        validation_labels=labels,
        start=Head(weight, np.zeros(N_CLASSES, np.float32)),
        without=np.full((len(labels), N_CLASSES), -np.log(N_CLASSES)),
        before_macs=0,
    )


def test_training_costs_prefixes_steps_and_one_validation(task: BiasTask) -> None:
    """The sum by hand for the later half of the layers has each prefix once, for any epochs."""
    bb = biased(task.backbone, "half")
    reads = TapLatents("last", task.backbone.reference, bb.device).smooth
    costs = costs_with_head(bb, reads, task.start)
    n, v = len(task.train_labels), len(task.validation_labels)
    found = train_biases(task, BiasPlan("half", 2 * n, None, batch_size=8), bb)
    steps = 2 * n * (costs.forward + costs.backward)
    assert costs.prefix > 0
    assert found.macs == (n + v) * costs.prefix + steps + v * costs.forward


def test_the_final_head_is_the_mean_with_the_one_in_closed_form(task: BiasTask) -> None:
    """At rates of zero both are known: the initial head, and ridge regression on latents."""
    bb = biased(task.backbone)
    n = len(task.train_labels)
    heads, macs = [], []
    for refit in (False, True):
        plan = BiasPlan("all", n, None, 8, bias_rate=0.0, head_rate=0.0, refit=refit)
        found = train_biases(task, plan, bb)
        heads.append(found.head.head)
        macs.append(found.macs)
    (batch,) = iterate_batches(task.images.train, task.backbone.size, batch_size=n)
    latents = task.backbone.embed(batch.images).last
    closed = ridge_head(latents, task.train_labels, N_CLASSES, RIDGE)
    np.testing.assert_array_equal(heads[0].weight, task.start.weight)
    mean = (task.start.weight + closed.weight) / 2
    np.testing.assert_allclose(heads[1].weight, mean, rtol=1e-3, atol=1e-3)
    assert not np.allclose(mean, task.start.weight, atol=0.1)
    assert macs[1] > macs[0]
