"""Experience replay: content of the buffer, and learning from it."""

from __future__ import annotations

import torch
from torch.nn import functional

from teachmesh_lab.baselines.er import ExperienceReplay
from teachmesh_lab.baselines.training_loop import Schedule
from tests.lab.baselines.sample_streams import (
    learn_all,
    make_stream,
    make_task,
    multi_head,
)

ONE_EPOCH = Schedule(epochs=1, batch_size=8, rate=0.01)


def make(quota: int = 3) -> ExperienceReplay:
    """Make a baseline on a fresh network."""
    return ExperienceReplay(multi_head(), {"images_per_class": float(quota)}, seed=0)


def test_the_buffer_holds_exactly_its_quota_of_every_class() -> None:
    """It holds images of the task, without duplicates, each with its own label."""
    stream = make_stream(3)
    baseline = make()
    learn_all(baseline, stream, ONE_EPOCH)
    assert list(baseline.buffer) == [0, 1, 2]
    for task, kept in zip(stream, baseline.buffer.values(), strict=True):
        assert torch.bincount(kept.labels).tolist() == [3] * len(task.classes)
        places = [
            [i for i, image in enumerate(task.train.images) if (image == one.numpy()).all()]
            for one in kept.images
        ]
        assert all(len(place) == 1 for place in places)
        rows = [place[0] for place in places]
        assert len(set(rows)) == len(rows)
        assert task.train.labels[rows].tolist() == kept.labels.tolist()


def test_a_class_with_fewer_images_keeps_them_all() -> None:
    """A class may have fewer images than the quota."""
    baseline = make(quota=100)
    learn_all(baseline, [make_task(0, per_class=5)], ONE_EPOCH)
    assert torch.bincount(baseline.buffer[0].labels).tolist() == [5, 5, 5]


def test_every_replayed_image_uses_its_own_tasks_head() -> None:
    """Oracle: the mean cross-entropy of the batch and of the drawn images, one by one."""
    stream = make_stream(3)
    baseline = make()
    learn_all(baseline, stream[:2], ONE_EPOCH)
    baseline.begin(2, stream[2])
    rows = torch.tensor([0, 2, 4, 6, 8, 10])
    state = baseline._generator.get_state()
    loss = float(baseline.loss(2, rows).detach())
    baseline._generator.set_state(state)
    net, data = baseline.net, baseline.data[2]
    replayed = baseline._replay(len(rows))
    assert sum(len(labels) for _, _, labels in replayed) == len(rows)
    losses = []
    for task, images, labels in [(2, data.images[rows], data.labels[rows]), *replayed]:
        for image, label in zip(images, labels, strict=True):
            logits = net.logits(net.latents(image[None]), task)
            losses.append(float(functional.cross_entropy(logits, label[None]).detach()))
    assert len(losses) == 12
    torch.testing.assert_close(loss, sum(losses) / 12)


def test_replay_reaches_every_old_image() -> None:
    """Draws are uniform: after many batches, every image of the buffer was drawn."""
    baseline = make()
    stream = make_stream(3)
    learn_all(baseline, stream[:2], ONE_EPOCH)
    baseline.begin(2, stream[2])
    seen = {
        (task, image.numpy().tobytes())
        for _ in range(60)
        for task, images, _ in baseline._replay(4)
        for image in images
    }
    assert len(seen) == 3 * 3 + 2 * 3


def test_the_state_contains_the_buffer() -> None:
    """A second agent needs its images, at one byte per value."""
    baseline = make()
    learn_all(baseline, make_stream(2), ONE_EPOCH)
    state = baseline.state()
    assert state["buffer.0.images"].nbytes == 3 * 3 * 3 * 8 * 8
    assert state["buffer.1.images"].nbytes == 2 * 3 * 3 * 8 * 8


def test_passes_replay_the_whole_buffer_in_an_epoch() -> None:
    """With one pass, replays grow with the buffer; without, they equal the new images."""
    stream = make_stream(3)
    for passes, expected in ((0.0, [8, 8]), (1.0, [5, 5]), (2.0, [10, 10])):
        baseline = ExperienceReplay(multi_head(), {"passes": passes}, seed=0)
        baseline.hyper["images_per_class"] = 3.0
        learn_all(baseline, stream[:2], ONE_EPOCH)
        baseline.begin(2, stream[2])
        # The buffer has 9 + 6 images, and an epoch has 24 new images in three batches of 8.
        assert [baseline.replays(2, n) for n in (8, 8)] == expected
        before = baseline.net.costs.forward
        baseline.loss(2, torch.arange(8))
        trunk = baseline.net.costs.per_image.forward
        assert (baseline.net.costs.forward - before) // trunk == 8 + expected[0]
