"""MAHA compared with a plain Mahalanobis loop (Eq. 5), and an attack on its covariance."""

from __future__ import annotations

import numpy as np
import pytest

from teachmesh.mapping.anchor_kinds import MahaAnchor
from teachmesh.mapping.maha import RIDGE, SAMPLES_PER_CLASS, MahaMapper, fit_maha
from tests.mapping.latents import Sample, make_sample


def anchor_of(sample: Sample, seed: int = 0) -> MahaAnchor:
    """Fit an anchor to a sample."""
    return fit_maha(sample.latents, sample.labels, sample.n_classes, seed=seed)


def mapper_of(anchors: dict[str, MahaAnchor]) -> MahaMapper:
    """Return a mapper with these anchors."""
    mapper = MahaMapper()
    for key, anchor in anchors.items():
        mapper.add(key, anchor)
    return mapper


def plain_covariance(anchors: list[MahaAnchor]) -> np.ndarray:
    """Compute the paper's formula, one outer product at a time."""
    dim, total = anchors[0].dim, 0
    covariance = np.zeros((dim, dim))
    for anchor in anchors:
        for sample, label in zip(anchor.samples, anchor.sample_classes, strict=True):
            residual = sample.astype(np.float64) - anchor.means[label].astype(np.float64)
            covariance += np.outer(residual, residual)
            total += 1
    covariance /= total
    return covariance + np.eye(dim) * (RIDGE * np.trace(covariance) / dim + 1e-9)


def test_scores_equal_a_plain_mahalanobis_loop() -> None:
    """The loop computes one distance at a time, with an explicit inverse."""
    anchors = {f"t{seed}": anchor_of(make_sample(seed, n_classes=2 + seed)) for seed in range(3)}
    mapper = mapper_of(anchors)
    precision = np.linalg.inv(plain_covariance(list(anchors.values())))
    questions = make_sample(9, per_class=3).latents
    scores = mapper.score(questions)
    assert scores.classes is not None
    for row, x in enumerate(questions.astype(np.float64)):
        distances = [
            np.array([(x - mean) @ precision @ (x - mean) for mean in anchor.means.astype(float)])
            for anchor in anchors.values()
        ]
        found = [-2 * classes[row] + x @ precision @ x for classes in scores.classes]
        np.testing.assert_allclose(np.concatenate(found), np.concatenate(distances), rtol=1e-6)
        assert scores.task[row].argmax() == np.argmin([values.min() for values in distances])


def test_covariance_is_the_papers_sum_over_all_samples() -> None:
    """All samples have equal weight and are centred at their class means."""
    anchors = {f"t{seed}": anchor_of(make_sample(seed, n_classes=2 + seed)) for seed in range(3)}
    found = mapper_of(anchors).covariance()
    np.testing.assert_allclose(found, plain_covariance(list(anchors.values())), rtol=1e-9)


def test_means_are_over_all_images_and_samples_are_m_of_them() -> None:
    """A class has m = 5 samples, or fewer if it has fewer images."""
    sample = make_sample(0, n_classes=2, per_class=9)
    rows = np.r_[0:18:2, 1:7:2]  # 9 images of class 0, 3 of class 1
    latents, labels = sample.latents[rows], sample.labels[rows]
    anchor = fit_maha(latents, labels, 2)
    np.testing.assert_allclose(anchor.means[0], latents[labels == 0].mean(0), rtol=1e-5, atol=1e-7)
    assert np.bincount(anchor.sample_classes).tolist() == [SAMPLES_PER_CLASS, 3]
    for row, label in zip(anchor.samples, anchor.sample_classes, strict=True):
        assert (latents[labels == label] == row).all(axis=1).sum() == 1


def test_the_draw_of_samples_follows_the_seed() -> None:
    """Learning is reproducible bit for bit, and another seed draws other images."""
    sample = make_sample(0)
    one, two, other = anchor_of(sample, 1), anchor_of(sample, 1), anchor_of(sample, 2)
    assert one.samples.tobytes() == two.samples.tobytes()
    assert one.samples.tobytes() != other.samples.tobytes()


def test_fewer_samples_than_dimensions_still_give_distances() -> None:
    """The ridge makes the covariance invertible."""
    sample = make_sample(0, n_classes=2, dim=64)
    mapper = mapper_of({"a": anchor_of(sample)})
    assert np.linalg.matrix_rank(mapper.covariance()) == 64
    scores = mapper.score(sample.latents)
    assert scores.classes is not None
    assert np.mean(scores.classes[0].argmax(axis=1) == sample.labels) > 0.9


def test_one_skill_cannot_distort_the_covariance_of_the_others() -> None:
    """Very distant samples are shortened, and honest tasks keep their accuracy."""
    samples = {f"t{seed}": make_sample(seed, per_class=30) for seed in range(6)}
    honest = {key: anchor_of(sample) for key, sample in samples.items()}
    between = honest["t0"].means.mean(0) - honest["t1"].means.mean(0)
    attack = MahaAnchor(
        honest["t2"].means,
        (honest["t2"].means[[0] * 30] + 1000 * between).astype(np.float32),
        np.zeros(30, np.uint16),
    )
    before, after = mapper_of(honest), mapper_of({**honest, "x": attack})

    def right(mapper: MahaMapper) -> float:
        found = []
        for key, sample in samples.items():
            scores = mapper.score(sample.latents)
            known = scores.task[:, :6]  # the attacker's own task sorts last
            found.append(np.mean(known.argmax(axis=1) == scores.keys.index(key)))
        return float(np.mean(found))

    assert np.trace(after.covariance()) < 16 * np.trace(before.covariance())
    assert right(after) > right(before) - 0.05


def test_values_that_no_teacher_makes_are_refused() -> None:
    """Samples of an unknown class and huge numbers are refused."""
    anchor = anchor_of(make_sample(0))
    for name, value in (("sample_classes", 3), ("means", 1e5), ("samples", -1e5)):
        broken = anchor.tensors()[name].copy()
        broken.flat[0] = value
        with pytest.raises(ValueError, match="expected"):
            MahaAnchor.from_tensors({**anchor.tensors(), name: broken}, 3)


@pytest.mark.parametrize(
    "labels", [np.array([0, 0, 2]), np.array([0, 1]), np.array([0, 1, 3]), np.array([-1, 1, 2])]
)
def test_labels_that_do_not_fit_are_refused(labels: np.ndarray) -> None:
    """A class has no image, or a label is missing or outside the classes."""
    with pytest.raises(ValueError, match="expected"):
        fit_maha(np.eye(3, dtype=np.float32), labels, 3)
