"""Time for scoring images one by one, relative to scoring them in one batch, with 36 tasks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from teachmesh.mapping.mapper import MapperScores
from teachmesh.mapping.metric import ReferenceLatents, fit_metric
from teachmesh.mapping.moments_fit import fit_moments
from teachmesh.mapping.own_mapper import make_mapper

Score = Callable[[np.ndarray], MapperScores]
TASKS = 36
CLASSES = 16
IMAGES_PER_CLASS = 10
DIM = 512
ASKED = 256
ROUNDS = 3


def run() -> dict[str, float]:
    """Return the median ratio of the loop's time to the batch's time; their scores are equal."""
    random = np.random.default_rng(0)
    reference = _unit(random.normal(size=(2 * DIM, DIM)))
    metric = fit_metric(ReferenceLatents(reference, None, None))
    mapper = make_mapper("moments", metric)
    labels = np.repeat(np.arange(CLASSES), IMAGES_PER_CLASS)
    for task in range(TASKS):
        centres = random.normal(size=(CLASSES, DIM))
        latents = centres[labels] + random.normal(size=(len(labels), DIM))
        mapper.add(f"{task:02}", fit_moments(_unit(latents), labels, CLASSES, metric))
    asked = _unit(random.normal(size=(ASKED, DIM)))
    mapper.score(asked[:1])  # warm up, so that neither time includes it
    ratios = [_round(mapper.score, asked) for _ in range(ROUNDS)]
    return {"per-sample loop / mapper scoring": statistics.median(ratios)}


def _round(score: Score, asked: np.ndarray) -> float:
    started_s = time.perf_counter()
    together = score(asked).task
    batch_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    alone = np.concatenate([score(asked[i : i + 1]).task for i in range(len(asked))])
    loop_s = time.perf_counter() - started_s
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    return loop_s / batch_s


def _unit(latents: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(latents, axis=1, keepdims=True)
    return np.ascontiguousarray(latents / lengths, dtype=np.float32)
