"""Joint training: batches mixed over tasks, and at least as good as learning in turn."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from teachmesh_lab.baselines.baseline import BatchPart
from teachmesh_lab.baselines.baseline_registry import run_trained
from teachmesh_lab.baselines.joint import Joint
from teachmesh_lab.baselines.training_loop import Schedule, learn
from tests.lab.baselines.sample_streams import make_stream, multi_head, tiny_net


class Noting(Joint):
    """Joint training that notes its batches."""

    def __init__(self) -> None:
        super().__init__(multi_head(), {}, seed=0)
        self.batches: list[list[BatchPart]] = []

    def batch_loss(self, parts: list[BatchPart]) -> Tensor:  # type: ignore[override]
        """Note a batch, then return its loss."""
        self.batches.append(parts)
        return super().batch_loss(parts)


def begun() -> Noting:
    """Return a baseline that has begun three tasks of 24, 16 and 24 images."""
    baseline = Noting()
    for index, task in enumerate(make_stream(3)):
        baseline.begin(index, task)
    return baseline


def test_batches_mix_tasks_and_use_every_image_once() -> None:
    """An epoch of 64 images in batches of 16."""
    baseline = begun()
    learn(baseline, [0, 1, 2], Schedule(epochs=1, batch_size=16, rate=0.01))
    assert [sum(len(rows) for _, rows in parts) for parts in baseline.batches] == [16] * 4
    assert all(len(parts) == 3 for parts in baseline.batches)
    for index, size in ((0, 24), (1, 16), (2, 24)):
        used = [r for parts in baseline.batches for i, rows in parts if i == index for r in rows]
        assert sorted(map(int, used)) == list(range(size))


def test_the_loss_is_the_mean_over_images_under_their_own_heads() -> None:
    """Oracle: cross-entropy, image by image."""
    baseline = begun()
    parts = [(0, torch.tensor([3, 1])), (2, torch.tensor([5, 0, 7]))]
    total = torch.zeros(())
    for index, rows in parts:
        data = baseline.data[index]
        for row in rows.tolist():
            logits = baseline.net.logits(baseline.net.latents(data.images[row : row + 1]), index)
            total = total + functional.cross_entropy(logits, data.labels[row : row + 1])
    torch.testing.assert_close(baseline.batch_loss(parts), total / 5)


def test_joint_is_at_least_as_good_as_learning_in_turn() -> None:
    """On a stream where forgetting costs much."""
    stream = make_stream(4)
    joint, plain = (
        run_trained(name, stream, tiny_net, epochs=6, batch_size=8, rate=0.02)
        for name in ("joint", "fine-tune")
    )
    assert joint.test.last_mean("oracle") >= plain.test.last_mean("oracle")
