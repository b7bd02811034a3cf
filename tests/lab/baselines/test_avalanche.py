"""EWC and MAS against Avalanche's, step by step on one stream; skipped without Avalanche.

Batches have one image, because Avalanche squares the gradient of a batch's mean. Its Fisher
information uses the true labels, so ours does here too. SI is not compared: Avalanche 0.6.0 keeps a
view of the weights instead of a copy. On a CPU, every step of its path has length zero.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from teachmesh_lab.baselines.baseline import Baseline
from teachmesh_lab.baselines.ewc import diagonal_fisher
from teachmesh_lab.baselines.fine_tune import FineTune
from teachmesh_lab.baselines.image_stream import PixelTask
from teachmesh_lab.baselines.mas import Mas
from teachmesh_lab.baselines.multihead import MultiHead
from teachmesh_lab.baselines.quadratic import Quadratic
from teachmesh_lab.baselines.seeding import make_generator
from teachmesh_lab.baselines.training_loop import Schedule, learn
from tests.lab.baselines.sample_streams import make_stream, multi_head

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of Avalanche itself
SINGLE = Schedule(epochs=1, batch_size=1, rate=0.003)
STRENGTH = 20.0


class EmpiricalEwc(Baseline):
    """EWC with the true labels in its Fisher information."""

    def __init__(self, net: MultiHead) -> None:
        super().__init__(net, {}, 0)
        self.penalty = Quadratic(self.trunk_parameters())

    def before_step(self) -> None:
        # Avalanche has no factor of 1/2 in front of lambda.
        self.penalty.pull(2 * STRENGTH)

    def end(self, index: int) -> None:
        data = self.data[index]
        fisher = diagonal_fisher(self.net, index, data.images, data.labels)
        self.penalty.add_centred_here(fisher)
        super().end(index)


class OneHeadAtATime(nn.Module):
    """Our network as Avalanche calls it: the current task's head, images as floats."""

    def __init__(self, net: MultiHead, stream: list[PixelTask]) -> None:
        super().__init__()
        self.net, self.current = net, 0
        for index, task in enumerate(stream):
            net.add_head(index, len(task.classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.net.logits(self.net.trunk(images), self.current)


def learn_with_avalanche(plugin: Any, stream: list[PixelTask]) -> MultiHead:
    """Train our tiny network with Avalanche's loop, on identical images in identical order."""
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import _make_taskaware_tensor_classification_dataset
    from avalanche.training.plugins import EvaluationPlugin
    from avalanche.training.supervised import Naive

    net = multi_head()
    model = OneHeadAtATime(net, stream)
    datasets = []
    for index, task in enumerate(stream):
        n = len(task.train)
        order = torch.randperm(n, generator=make_generator(0, "order", index))
        images = net.prepare(torch.from_numpy(task.train.images))[order]
        labels = torch.from_numpy(task.train.labels)[order].tolist()
        datasets.append(
            _make_taskaware_tensor_classification_dataset(
                images, torch.tensor(labels), targets=labels, task_labels=0
            )
        )
    benchmark = benchmark_from_datasets(train=datasets)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=SINGLE.rate),
        train_mb_size=1,
        plugins=[plugin],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for index, experience in enumerate(benchmark.train_stream):
        model.current = index
        strategy.optimizer = torch.optim.Adam(model.parameters(), lr=SINGLE.rate)
        strategy.train(experience, shuffle=False, num_workers=0)
    return net


def learn_with_ours(baseline: Baseline, stream: list[PixelTask]) -> MultiHead:
    """Train with our loop, with all heads present from the start."""
    for index, task in enumerate(stream):
        baseline.begin(index, task)
        learn(baseline, [index], SINGLE)
        baseline.end(index)
    return baseline.net


def distance(one: MultiHead, two: MultiHead) -> float:
    """Return the Euclidean distance between all weights of two trunks."""
    pairs = zip(one.trunk.parameters(), two.trunk.parameters(), strict=True)
    squares = [(a.detach() - b.detach()).square().sum() for a, b in pairs]
    return float(torch.stack(squares).sum().sqrt())


def assert_same_path(ours: MultiHead, theirs: MultiHead, stream: list[PixelTask]) -> None:
    """Check that paths differ only by rounding, far less than from fine-tuning.

    Adam magnifies rounding where gradients are tiny.
    """
    free = learn_with_ours(FineTune(multi_head(), {}, seed=0), stream)
    assert distance(ours, theirs) < 0.01 * distance(ours, multi_head())
    assert distance(ours, theirs) < 0.05 * distance(ours, free)


@pytest.fixture
def plugins() -> Any:
    """Return Avalanche's regularisers, if it is installed."""
    pytest.importorskip("avalanche")
    from avalanche.training import plugins as found

    return found


def test_ewc_follows_avalanches_path(plugins: Any) -> None:
    """Two tasks, image by image, end with equal weights."""
    stream = make_stream(2)
    theirs = learn_with_avalanche(plugins.EWCPlugin(ewc_lambda=STRENGTH), stream)
    assert_same_path(learn_with_ours(EmpiricalEwc(multi_head()), stream), theirs, stream)


def test_mas_follows_avalanches_path(plugins: Any) -> None:
    """Two tasks, image by image, end with equal weights."""
    stream = make_stream(2)
    theirs = learn_with_avalanche(plugins.MASPlugin(lambda_reg=STRENGTH), stream)
    ours = Mas(multi_head(), {"strength": STRENGTH, "images": 1000.0}, seed=0)
    assert_same_path(learn_with_ours(ours, stream), theirs, stream)
