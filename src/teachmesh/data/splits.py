"""Seeded splits that depend on the content of each image, so that a task can grow.

The SHA-256 of an image's file and of the seed is a number from 0 to 1. A small number means test, a
larger one validation, and the others train. So an image has the same split whatever its name is,
and whatever other images come with it, before it or after it.

A few images of small classes are moved, so that every class has a training image, and validation
and test images if it has enough. Those that were moved, or may have to move when a class grows, are
called edges.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from teachmesh.data.layouts import SplitName

DEFAULT_SHARES = (0.1, 0.1)
"""Fractions of the images for validation and test."""
LEAST_TRAIN = 3
"""Minimum number of training images of a class from which one is moved to another split."""
_KEY_BYTES = 8


@dataclass(frozen=True)
class SplitRule:
    """Rule that gives an image its split.

    Attributes:
        seed: seed of the split.
        validation: fraction of the images for validation.
        test: fraction of the images for test.
    """

    seed: int = 0
    validation: float = DEFAULT_SHARES[0]
    test: float = DEFAULT_SHARES[1]

    def key(self, content: bytes) -> bytes:
        """Return the key of an image, from the hash of its file."""
        return hashlib.sha256(f"{self.seed}\0".encode() + content).digest()

    def split_of(self, key: bytes) -> SplitName:
        """Return the split of an image before any image is moved.

        Examples:
            >>> [SplitRule().split_of(bytes([first] * 8)) for first in (25, 26, 50, 52)]
            ['test', 'validation', 'validation', 'train']
        """
        number = int.from_bytes(key[:_KEY_BYTES], "big") / 256**_KEY_BYTES
        if number < self.test:
            return "test"
        return "validation" if number < self.test + self.validation else "train"

    def lacks(self, found: Sequence[SplitName]) -> tuple[bool, bool]:
        """Return whether a class should have validation images and test images, but has none."""
        return (
            bool(self.validation) and "validation" not in found,
            bool(self.test) and "test" not in found,
        )


@dataclass(frozen=True)
class Edge:
    """An image that was moved to another split, or may have to be when its class grows.

    Attributes:
        key: key of the image, see `SplitRule.key`.
        natural: split of the image before any image was moved.
    """

    key: bytes
    natural: SplitName


@dataclass(frozen=True)
class Moves:
    """Images of one class that are moved, see `moves`.

    Attributes:
        to_train: whether the image with the largest key becomes a training image.
        to_validation: whether one training image becomes a validation image.
        to_test: whether one training image becomes a test image, before that.
    """

    to_train: bool
    to_validation: bool
    to_test: bool


def moves(n_train: int, lacks_validation: bool, lacks_test: bool) -> Moves:
    """Return the images of one class that are moved to another split.

    Args:
        n_train: number of different training images before any is moved.
        lacks_validation: see `SplitRule.lacks`.
        lacks_test: see `SplitRule.lacks`.

    Examples:
        >>> moves(4, True, True)
        Moves(to_train=False, to_validation=True, to_test=True)
        >>> moves(3, True, True)
        Moves(to_train=False, to_validation=True, to_test=False)
    """
    to_validation = lacks_validation and n_train >= LEAST_TRAIN
    to_test = lacks_test and n_train >= LEAST_TRAIN + to_validation
    return Moves(n_train == 0, to_validation, to_test)


@dataclass(frozen=True)
class Carved:
    """Splits of a source, by position.

    Attributes:
        splits: split of each image.
        edges: the edges among the images.
        lacking: for each class with images, the result of `SplitRule.lacks`.
    """

    splits: list[SplitName]
    edges: Mapping[int, Edge]
    lacking: Mapping[str, tuple[bool, bool]]


def carve(images: Sequence[tuple[str, bytes]], rule: SplitRule) -> Carved:
    """Choose the split of every image.

    Args:
        images: class and hash of the file of each image.
        rule: fractions and seed.

    Returns:
        The splits. Every class keeps a training image. Images with equal files get equal splits.
    """
    groups: dict[str, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for position, (label, content) in enumerate(images):
        groups[label][rule.key(content)].append(position)
    splits: list[SplitName] = ["train"] * len(images)
    edges: dict[int, Edge] = {}
    lacking = {}
    for label, members in groups.items():
        natural = {key: rule.split_of(key) for key in sorted(members)}
        lacking[label] = rule.lacks(list(natural.values()))
        final = {**natural, **_moved(natural, *lacking[label])}
        kept = edges_of(natural, *lacking[label])
        for key, positions in members.items():
            for position in positions:
                splits[position] = final[key]
                if key in kept:
                    edges[position] = Edge(key, natural[key])
    return Carved(splits, edges, lacking)


def _moved(natural: Mapping[bytes, SplitName], *lacks: bool) -> dict[bytes, SplitName]:
    """Return the new splits of the images of one class that are moved; keys are sorted."""
    train = [key for key, split in natural.items() if split == "train"]
    plan = moves(len(train), *lacks)
    moved: dict[bytes, SplitName] = {}
    if plan.to_train:
        moved[max(natural)] = "train"
    if plan.to_test:
        moved[train.pop(0)] = "test"
    if plan.to_validation:
        moved[train.pop(0)] = "validation"
    return moved


def edges_of(
    natural: Mapping[bytes, SplitName], lacks_validation: bool, lacks_test: bool
) -> list[bytes]:
    """Return the keys of the edges of one class, among keys in ascending order."""
    train = [key for key, split in natural.items() if split == "train"]
    if not train:
        return [max(natural)] if natural else []
    return train[: int(lacks_validation) + int(lacks_test)]
