"""Estimated costs of a task against counted costs and measured passes."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.learning.fit_method import fit_method
from teachmesh.mapping.metric import ReferenceLatents, fit_metric
from teachmesh.mapping.own_mapper import make_mapper
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh_lab.bench.own_cells import count_student_macs
from teachmesh_lab.simulation.task_estimates import NetworkSize, TaskSize, estimate_task


@pytest.mark.parametrize("base", ["moments", "maha", "gmmc"])
@pytest.mark.parametrize(
    ("ending", "passes"), [("+bb", 8.0), ("+bb-last", 28.3), ("+bb-all-always", 52.7)]
)
def test_biases_cost_the_passes_that_were_measured(base: str, ending: str, passes: float) -> None:
    """Biases add their budget, or without a budget the average of ten tasks."""
    task, network = TaskSize("trash", 6, 700, 78), NetworkSize(100_000_000, 1280, 768)
    plain, biased = (estimate_task(name, task, network) for name in (base, base + ending))
    extra = (passes - 1) * (task.train + task.validation) * network.macs_per_image
    assert biased.teacher_macs - plain.teacher_macs == pytest.approx(extra, rel=1e-9)


@pytest.mark.parametrize(("images", "n_classes"), [(50, 5), (300, 10), (1200, 4)])
def test_the_estimate_of_moments_equals_the_counted_fit(images: int, n_classes: int) -> None:
    """More and fewer images than dimensions; more images than the sample of a task holds."""
    random, dim = np.random.default_rng(0), 256
    labels = np.arange(images) % n_classes
    centres = random.standard_normal((n_classes, dim))
    latents = (centres[labels] + random.standard_normal((images, dim))).astype(np.float32) / 8
    train = LabelledLatents(Latents(latents[:, :8], latents), labels)
    none = LabelledLatents(Latents(latents[:0, :8], latents[:0]), labels[:0])
    reference = random.standard_normal((2 * dim, dim)).astype(np.float32) / 8
    metric = fit_metric(ReferenceLatents(reference, None, None))
    fitted = fit_method("moments", train, none, n_classes, metric)
    mapper = make_mapper("moments", metric)
    register = count_student_macs(lambda: mapper.add("x", fitted.anchors["moments"]))
    guess = estimate_task("moments", TaskSize("x", n_classes, images, 0), NetworkSize(0, 8, dim))
    arrays = fitted.tensors().values()
    assert guess.receive_macs == sum(array.size for array in arrays)
    assert guess.register_macs == register
    assert guess.teacher_macs == pytest.approx(fitted.cost_macs, rel=0.2)
