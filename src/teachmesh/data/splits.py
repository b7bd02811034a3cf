"""Seeded, stratified splits that depend on names only, not on the order of a listing.

The images of each class are ordered by a hash of (seed, class, image name). The first images go to
test, the next images to validation. A folder, an archive and a CSV file of the same images
therefore get the same split on every machine. Adding an image changes the split of few other
images.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from teachmesh.data.layouts import SplitName

DEFAULT_SHARES = (0.1, 0.1)
"""Fractions of each class for validation and test."""


def carve(
    keys: Sequence[tuple[str, str]],
    seed: int,
    *,
    with_test: bool,
    fractions: tuple[float, float] = DEFAULT_SHARES,
) -> list[SplitName]:
    """Choose the split of every image.

    Args:
        keys: (class name, image name) of each image; all keys differ.
        seed: seed of the split.
        with_test: whether to split off images for test, in addition to those for validation.
        fractions: fractions of each class for validation and test; by default a tenth each.

    Returns:
        One split per key, in the order of `keys`. Every class keeps at least one training image.
        A class of two images uses both for training; a class of three uses one for validation.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for position, (label, _) in enumerate(keys):
        groups[label].append(position)
    splits: list[SplitName] = ["train"] * len(keys)
    for members in groups.values():
        members.sort(key=lambda position: _rank(seed, *keys[position]))
        n_validation, n_test = shares(len(members), with_test=with_test, fractions=fractions)
        for position in members[:n_test]:
            splits[position] = "test"
        for position in members[n_test : n_test + n_validation]:
            splits[position] = "validation"
    return splits


def shares(
    n_images: int,
    *,
    with_test: bool,
    fractions: tuple[float, float] = DEFAULT_SHARES,
) -> tuple[int, int]:
    """Return the number of validation images and of test images for a class.

    Examples:
        >>> [shares(n, with_test=True) for n in (1, 2, 3, 4, 10, 100)]
        [(0, 0), (0, 0), (1, 0), (1, 1), (1, 1), (10, 10)]
    """
    validation, test = fractions
    n_validation = max(1, round(n_images * validation)) if validation and n_images >= 3 else 0
    n_test = max(1, round(n_images * test)) if with_test and test and n_images >= 4 else 0
    n_validation = min(n_validation, n_images - 1)
    return n_validation, min(n_test, n_images - 1 - n_validation)


def _rank(seed: int, label: str, name: str) -> bytes:
    text = f"{seed}\0{label}\0{name}"
    # File names may contain bytes that are not valid Unicode.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
