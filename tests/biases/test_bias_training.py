"""Training of biases, checked against torch's optimizer on a forward pass written by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from teachmesh.biases.bias_head import TapLatents, costs_with_head
from teachmesh.biases.bias_plan import BiasPlan
from teachmesh.biases.bias_training import (
    BiasTrainer,
    Stage,
    TrainedBiases,
    TrainingRows,
)
from teachmesh.biases.biased_network import BeneficialBiases, PassCosts
from teachmesh.model.head import Head
from tests.biases.bias_samples import (
    N_CLASSES,
    InMemory,
    biased,
    labelled_pictures,
    tiny_backbone,
    training_rows,
)
from tests.model.nets import GREY, TinyNet

PATIENT_EPOCHS = 3
PATIENT = BiasPlan("all", images=400, patience=PATIENT_EPOCHS, batch_size=16)
ANNEALED = BiasPlan("all", images=90, patience=None, batch_size=16)


def start_head() -> Head:
    """Draw a head that is not zero, so that biases have a gradient from the first step on."""
    generator = np.random.default_rng(3)
    weight = generator.normal(0, 0.5, (N_CLASSES, 7)).astype(np.float32)
    return Head(weight, np.zeros(N_CLASSES, dtype=np.float32))


def run(plan: BiasPlan, n: int = 40, which: str = "all", seed: int = 0) -> TrainedBiases:
    """Train on n pictures and validate on 12."""
    backbone = tiny_backbone()
    bb = biased(backbone, which)
    reads = TapLatents("last", backbone.reference, bb.device).smooth
    trainer = BiasTrainer(bb, reads, start_head(), plan, seed)
    return trainer.train(training_rows(bb, n), training_rows(bb, 12, seed=1))


def full_costs(bb: BeneficialBiases) -> PassCosts:
    """Count the costs of the network, the paper's latents and the head of these tests."""
    reads = TapLatents("last", tiny_backbone().reference, bb.device).smooth
    return costs_with_head(bb, reads, start_head())


def by_hand(epochs: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Train Eq. 1 written out, on the net with batch norms, by torch.optim.Adam and autograd."""
    net = TinyNet().requires_grad_(False)
    images, labels = labelled_pictures(n)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (GREY.mean, GREY.std))
    x, y = (images.float() - mean) / std, torch.from_numpy(labels)
    sigmas = [(norm.running_var + norm.eps).sqrt() for norm in (net.first_norm, net.second_norm)]
    scaled = [torch.zeros(channels, requires_grad=True) for channels in (5, 7)]
    head = torch.nn.Linear(7, N_CLASSES)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start_head().weight))
        head.bias.zero_()
    groups = [{"params": scaled, "lr": 1e-2}, {"params": head.parameters(), "lr": 1e-3}]
    optimizer = torch.optim.Adam(groups)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(n, generator=generator).split(16):
            first, second = (
                (b * sigma).view(1, -1, 1, 1) for b, sigma in zip(scaled, sigmas, strict=True)
            )
            inner = torch.relu(net.first_norm(net.first(x[rows]) + first))
            outer = torch.relu(net.second_norm(net.second(inner) + second))
            loss = torch.nn.functional.cross_entropy(head(outer.mean((2, 3))), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    values = torch.cat([b * sigma for b, sigma in zip(scaled, sigmas, strict=True)])
    return values.detach().numpy(), head.weight.detach().numpy()


def test_biases_and_head_are_those_of_adam_on_the_papers_equation() -> None:
    """The oracle for one epoch at constant rates has neither suffixes nor folding."""
    plan = dataclasses.replace(PATIENT, images=40, patience=99)
    found = run(plan)
    values, weight = by_hand(epochs=1, n=40)
    np.testing.assert_allclose(found.values, values, atol=2e-5)
    np.testing.assert_allclose(found.head.weight, weight, atol=2e-5)


def test_the_number_of_lanes_changes_nothing() -> None:
    """Results are bit-identical, because pieces are fixed and summed in order."""
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(run(ANNEALED))
    torch.set_num_threads(before)
    assert results[0].values.tobytes() == results[1].values.tobytes()
    assert results[0].head.weight.tobytes() == results[1].head.weight.tobytes()


@pytest.mark.parametrize("which", ["all", "last:1"])
def test_every_step_and_every_validation_is_counted(which: str) -> None:
    """Steps cost forward and backward, validation costs forward, with the head included."""
    costs = full_costs(biased(tiny_backbone(), which))
    annealed, patient = run(ANNEALED, which=which), run(PATIENT, which=which)
    step = costs.forward + costs.backward
    assert annealed.images == ANNEALED.images
    assert annealed.macs == ANNEALED.images * step
    epochs = patient.images // 40
    assert patient.macs == patient.images * step + epochs * 12 * costs.forward


@pytest.mark.parametrize(("features", "width"), [("last", 7), ("multi", 6)])
def test_latents_and_head_are_part_of_the_cost_of_a_step(features: str, width: int) -> None:
    """They add one product to the forward pass, and two to the backward pass."""
    backbone = tiny_backbone()
    bb, reference = biased(backbone), backbone.reference
    reads = TapLatents(features, reference, bb.device).smooth
    head = Head(np.ones((N_CLASSES, width), np.float32), np.zeros(N_CLASSES, np.float32))
    found = costs_with_head(bb, reads, head)
    projected = reference.projection.size if features == "multi" else 0
    assert found.prefix == bb.costs.prefix
    assert found.forward == bb.costs.forward + projected + head.weight.size
    assert found.backward == bb.costs.backward + projected + 2 * head.weight.size


def test_the_first_steps_use_smaller_images_and_cost_less() -> None:
    """Two batches of 16 are small and the others whole; the costs are added up by hand."""
    plan = dataclasses.replace(ANNEALED, images=48, small_images=20)
    backbone = tiny_backbone()
    bb = biased(backbone)
    small = BeneficialBiases(backbone.forward_pass, bb.layout, size=8)
    images, labels = labelled_pictures(48)
    shrunk = torch.nn.functional.interpolate(images.float(), size=(8, 8)).to(torch.uint8)
    stage = Stage(small, TrainingRows(InMemory(small.prefix(shrunk)), labels))
    reads = TapLatents("last", backbone.reference, bb.device).smooth
    rows = training_rows(bb, 48)
    found = {}
    for name, first in (("small", stage), ("whole", None), ("same", Stage(bb, rows))):
        trainer = BiasTrainer(bb, reads, start_head(), plan)
        found[name] = trainer.train(rows, training_rows(bb, 12, seed=1), small=first)
    step, less = (costs.forward + costs.backward for costs in map(full_costs, (bb, small)))
    assert found["small"].macs == 32 * less + 16 * step < found["whole"].macs == 48 * step
    assert not np.allclose(found["small"].values, found["whole"].values)
    assert found["same"].values.tobytes() == found["whole"].values.tobytes()


def test_patience_ends_training_and_the_best_epoch_is_kept() -> None:
    """The result is the state of that epoch, even if training continued."""
    long = run(dataclasses.replace(PATIENT, images=4000))
    assert long.images < 4000, "it ended by itself"
    best = long.images - PATIENT_EPOCHS * 40
    stopped = run(dataclasses.replace(PATIENT, images=best))
    assert stopped.images == best
    assert long.values.tobytes() == stopped.values.tobytes()
    assert long.head.weight.tobytes() == stopped.head.weight.tobytes()
    last = run(dataclasses.replace(PATIENT, images=long.images, patience=None))
    assert last.values.tobytes() != long.values.tobytes()


def test_smooth_latents_are_nearly_exact_and_have_a_slope_everywhere() -> None:
    """Silent channels are exactly 0, where the slope of a square root is infinite."""
    reference = tiny_backbone().reference
    latents = TapLatents("multi", reference, torch.device("cpu"))
    taps = [torch.rand(4, 5), torch.rand(4, 7)]
    taps[0][:, 2] = 0
    for tap in taps:
        tap.requires_grad_()
    torch.testing.assert_close(latents.smooth(taps), latents.exact(taps), atol=5e-3, rtol=0)
    latents.smooth(taps).sum().backward()
    assert all(torch.isfinite(tap.grad).all() for tap in taps if tap.grad is not None)
