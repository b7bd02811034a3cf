"""Matching in the studies against matching in `learn`, with the same old skills."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from teachmesh.data.tasks import Split, Task
from teachmesh.mapping.metric import Metric, ReferenceLatents, fit_metric
from teachmesh.mapping.packed_moments import Packing, pack_moments
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh.reuse.visual_similarity import compare, whitening
from teachmesh_lab.studies.reuse_matching import PairMatcher
from teachmesh_lab.studies.reuse_tasks import StudySettings, StudyTask

DIM, SIZE, CLASSES = 24, 8, ("dog", "cat", "bird", "fish", "frog")


@pytest.fixture
def tasks() -> Mapping[str, StudyTask]:
    """Two tasks with the same classes and another style; latents far from the metric's unit."""
    random = np.random.default_rng(0)
    stretch = np.geomspace(0.1, 10, DIM)
    reference = (5 + stretch * random.standard_normal((400, DIM))).astype(np.float32)
    metric = fit_metric(ReferenceLatents(reference, None, None))
    centres = random.standard_normal((len(CLASSES), DIM))
    labels = np.repeat(np.arange(len(CLASSES)), SIZE)
    found = {}
    for name in ("photo", "sketch"):
        style = random.standard_normal(DIM)
        noise = 0.3 * random.standard_normal((len(labels), DIM))
        latents = (5 + stretch * (centres[labels] + style + noise)).astype(np.float32)
        found[name] = _task(name, latents, labels, metric)
    return found


def test_old_skills_are_compared_as_readers_get_them(tasks: Mapping[str, StudyTask]) -> None:
    """With few bits they are rounded, and cells have another identity."""
    settings = StudySettings(Packing(2, 3, 4), validate=True)
    task = dataclasses.replace(tasks["photo"], settings=settings)
    full, small = tasks["photo"].anchor, task.anchor
    received = pack_moments(full, Packing(2, 3, 4)).unpacked()
    np.testing.assert_array_equal(small.class_means(), received.class_means())
    np.testing.assert_array_equal(small.head_rows(), received.head_rows())
    assert (small.class_means() != full.class_means()).any()
    assert len(small.directions) == 3
    assert settings.arguments() == {"packing": (2, 3, 4), "images": "validation"}
    assert StudySettings().arguments() == {}


def _task(name: str, latents: np.ndarray, labels: np.ndarray, metric: Metric) -> StudyTask:
    split = LabelledLatents(Latents(latents[:, :4], latents), labels)
    empty = Split((), np.zeros(0, dtype=np.int64))
    task = Task(name, CLASSES, empty, empty, empty, "", None, (), ())
    return StudyTask(task, lambda *_: split, lambda: metric)


def test_classes_of_another_style_match_in_the_space_of_the_metric(
    tasks: Mapping[str, StudyTask],
) -> None:
    """The means of the shots are the metric's images of the raw means, and all classes match."""
    new, matcher = tasks["photo"], PairMatcher(dict(tasks), "vision")
    shots = new.shots(SIZE, seed=0)
    raw = np.stack([shots.latents.multi[shots.labels == c].mean(0) for c in range(len(CLASSES))])
    means = new.means_of(shots)
    np.testing.assert_allclose(means, new.metric.apply(raw), atol=1e-5)
    transform = matcher.transform(("sketch",))
    moments = tasks["sketch"].anchor.moments()
    covariance = moments.roots.T @ moments.roots + moments.rest * np.eye(DIM)
    np.testing.assert_allclose(transform, whitening(covariance), rtol=1e-9)
    expected = compare(means, tasks["sketch"].anchor.class_means(), transform).mutual()
    assert matcher.match("photo", "sketch", means, transform) == expected
    assert expected == [(c, c) for c in range(len(CLASSES))]
