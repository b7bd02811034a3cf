"""Laws that every task mapper must obey, as checks that other packages can run on theirs.

Examples:
    A test module of a package with an own mapper::

        import pytest
        from teachmesh_lab.evaluation.mapper_laws import LAWS, case_of

        @pytest.mark.parametrize("law", LAWS)
        def test_law(law):
            law(case_of(MyMapper))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from teachmesh.mapping.anchor import TaskAnchor
from teachmesh.mapping.mapper import MapperScores, TaskMapper
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.own_mapper import OwnMapper

DIM = 24
KEYS = ("c3", "a1", "b2", "d4")


class LawBroken(AssertionError):
    """A mapper or its anchor breaks a law; the message has the law and the difference."""


@dataclass(frozen=True)
class MapperCase:
    """A kind of task mapper that is checked.

    Attributes:
        make: function that returns an empty mapper.
        fit: function from (N, D) float32 latents, (N,) labels and the number of classes to an
            anchor.
    """

    make: Callable[[], TaskMapper[Any]]
    fit: Callable[[np.ndarray, np.ndarray, int], TaskAnchor]


Law = Callable[[MapperCase], None]


def case_of(mapper: type[OwnMapper[Any]], seed: int = 0) -> MapperCase:
    """Return the case of a mapper class of another package, with an identity metric.

    Args:
        mapper: the class that the entry point names.
        seed: seed for `fit`.
    """
    metric = Metric.identity(DIM)
    return MapperCase(
        lambda: mapper(metric),
        lambda latents, labels, n_classes: mapper.fit(latents, labels, n_classes, metric, seed),
    )


@cache
def sample_latents(seed: int, n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Draw latents of a well-separated task of 12 images per class.

    Returns:
        (N, D) float32 latents of length 1 and (N,) int64 labels.
    """
    random = np.random.default_rng(seed)
    centres = random.normal(size=DIM) + 0.7 * random.normal(size=(n_classes, DIM))
    labels = np.tile(np.arange(n_classes, dtype=np.int64), 12)
    rows = centres[labels] + random.uniform(0.1, 0.6, DIM) * random.normal(size=(len(labels), DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def any_order_gives_the_same_bits(case: MapperCase) -> None:
    """Agents with equal skills are identical, regardless of the order of arrival."""
    anchors = _anchors(case)
    expected = _filled(case, anchors).score(_questions())
    random = np.random.default_rng(0)
    for _ in range(5):
        order = [str(key) for key in random.permutation(KEYS)]
        scores = _filled(case, {key: anchors[key] for key in order}).score(_questions())
        _same_bits(scores, expected, f"scores depend on the order of arrival {order}")


def duplicates_leave_no_trace(case: MapperCase) -> None:
    """An anchor that arrives twice counts once."""
    anchors = _anchors(case)
    mapper = _filled(case, anchors)
    expected = mapper.score(_questions())
    for key in reversed(KEYS):
        mapper.add(key, anchors[key])
    _same_bits(mapper.score(_questions()), expected, "an anchor that is added twice counts twice")


def removed_anchors_leave_no_trace(case: MapperCase) -> None:
    """Scores are as if a removed anchor had never arrived, and it can be added again."""
    anchors = _anchors(case)
    mapper = _filled(case, anchors)
    expected = mapper.score(_questions())
    mapper.add("zz", _fitted(case, 50))
    mapper.score(_questions())
    mapper.remove("zz")
    _same_bits(mapper.score(_questions()), expected, "a removed anchor still has an influence")
    mapper.remove(KEYS[0])
    rest = {key: anchor for key, anchor in anchors.items() if key != KEYS[0]}
    fewer = _filled(case, rest).score(_questions())
    _same_bits(mapper.score(_questions()), fewer, "a removed anchor still has an influence")
    mapper.add(KEYS[0], anchors[KEYS[0]])
    _same_bits(mapper.score(_questions()), expected, "an anchor cannot be added again")


def keys_permute_columns_only(case: MapperCase) -> None:
    """The score of a task does not depend on its key."""
    anchors = _anchors(case)
    names = dict(zip(KEYS, ("w", "z", "x", "y"), strict=True))
    expected = _filled(case, anchors).score(_questions())
    renamed = _filled(case, {names[key]: anchor for key, anchor in anchors.items()})
    scores = renamed.score(_questions())
    for position, key in enumerate(expected.keys):
        found = scores.task[:, scores.keys.index(names[key])]
        if not np.allclose(found, expected.task[:, position], rtol=1e-9, atol=1e-9):
            raise LawBroken(f"the score of the task {key!r} depends on its key")


def known_images_find_their_task(case: MapperCase) -> None:
    """At least 90 % of the training images of four well-separated tasks get their own task."""
    mapper = _filled(case, _anchors(case))
    for seed, key in enumerate(KEYS):
        scores = mapper.score(sample_latents(seed, 2 + seed)[0])
        share = float(np.mean(scores.task.argmax(axis=1) == scores.keys.index(key)))
        if share < 0.9:
            raise LawBroken(f"expected 0.9 of the images in their task {key!r}, got {share:.2f}")


def familiarity_depends_on_one_anchor(case: MapperCase) -> None:
    """Other tasks change no bit of the familiarity with a task."""
    anchors = _anchors(case)
    crowd = _filled(case, anchors)
    for key, anchor in anchors.items():
        found = crowd.familiarity(key, _questions())
        alone = _filled(case, {key: anchor}).familiarity(key, _questions())
        if found.shape != (len(_questions()),):
            raise LawBroken(f"expected one familiarity per image, got the shape {found.shape}")
        if found.tobytes() != alone.tobytes():
            raise LawBroken(f"other tasks change the familiarity with the task {key!r}")


def anchors_survive_the_way_through_a_file(case: MapperCase) -> None:
    """An anchor that is rebuilt from its tensors has the same tensors and sizes."""
    anchor = _fitted(case, 1)
    tensors = anchor.tensors()
    if set(tensors) != set(anchor.tensor_specs):
        raise LawBroken(f"expected tensors {sorted(anchor.tensor_specs)}, got {sorted(tensors)}")
    again = type(anchor).from_tensors(tensors, anchor.n_classes)
    if (again.n_classes, again.dim) != (3, DIM):
        raise LawBroken(f"expected 3 classes and D = {DIM}, got {again.n_classes} and {again.dim}")
    for name, array in again.tensors().items():
        if (array.dtype, array.tobytes()) != (tensors[name].dtype, tensors[name].tobytes()):
            raise LawBroken(f"the tensor {name!r} changes on its way through a file")


def bad_tensors_are_refused(case: MapperCase) -> None:
    """`from_tensors` raises `ValueError` for a wrong name, type, shape or value."""
    anchor = _fitted(case, 1)
    for reason, tensors in _bad_tensors(anchor.tensors()):
        try:
            type(anchor).from_tensors(tensors, anchor.n_classes)
        except ValueError:
            continue
        raise LawBroken(f"expected a ValueError for {reason}, got an anchor")


LAWS: Sequence[Law] = (
    any_order_gives_the_same_bits,
    duplicates_leave_no_trace,
    removed_anchors_leave_no_trace,
    keys_permute_columns_only,
    known_images_find_their_task,
    familiarity_depends_on_one_anchor,
    anchors_survive_the_way_through_a_file,
    bad_tensors_are_refused,
)
"""All laws; each raises `LawBroken` if a mapper breaks it."""


def _questions() -> np.ndarray:
    return sample_latents(99, 5)[0]


def _fitted(case: MapperCase, seed: int, n_classes: int = 3) -> TaskAnchor:
    return case.fit(*sample_latents(seed, n_classes), n_classes)


def _anchors(case: MapperCase) -> dict[str, TaskAnchor]:
    """Return anchors of four tasks with 2 to 5 classes."""
    return {key: _fitted(case, seed, 2 + seed) for seed, key in enumerate(KEYS)}


def _filled(case: MapperCase, anchors: Mapping[str, TaskAnchor]) -> TaskMapper[Any]:
    mapper = case.make()
    for key, anchor in anchors.items():
        mapper.add(key, anchor)
    return mapper


def _same_bits(one: MapperScores, other: MapperScores, broken: str) -> None:
    ours, theirs = ((scores.task, *(scores.classes or ())) for scores in (one, other))
    if one.keys != other.keys or [a.tobytes() for a in ours] != [a.tobytes() for a in theirs]:
        raise LawBroken(broken)


def _bad_tensors(good: Mapping[str, np.ndarray]) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Return reasons, and tensors that are bad for this reason."""
    bad = [("another tensor", {**good, "more": np.ones(1, np.float32)})]
    for name, array in good.items():
        rest = {other: good[other] for other in good if other != name}
        bad.append((f"a missing {name!r}", rest))
        bad.append((f"float64 in {name!r}", {**rest, name: array.astype(np.float64)}))
        bad.append((f"another axis of {name!r}", {**rest, name: array[None]}))
        if array.dtype.kind == "f":
            for value in (np.nan, np.inf):
                broken = array.copy()
                broken.flat[0] = value
                bad.append((f"{value} in {name!r}", {**rest, name: broken}))
    return bad
