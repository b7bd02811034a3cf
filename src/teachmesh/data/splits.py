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

from teachmesh.data.listing import SplitName

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1


def carve(keys: Sequence[tuple[str, str]], seed: int, *, with_test: bool) -> list[SplitName]:
    """Choose the split of every image.

    Args:
        keys: (class name, image name) of each image; all keys differ.
        seed: seed of the split.
        with_test: whether to split off a tenth for test, in addition to a tenth for validation.

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
        n_validation, n_test = shares(len(members), with_test=with_test)
        for position in members[:n_test]:
            splits[position] = "test"
        for position in members[n_test : n_test + n_validation]:
            splits[position] = "validation"
    return splits


def shares(n_images: int, *, with_test: bool) -> tuple[int, int]:
    """Return the number of validation images and of test images for a class.

    Examples:
        >>> [shares(n, with_test=True) for n in (1, 2, 3, 4, 10, 100)]
        [(0, 0), (0, 0), (1, 0), (1, 1), (1, 1), (10, 10)]
    """
    n_validation = max(1, round(n_images * VALIDATION_SHARE)) if n_images >= 3 else 0
    n_test = max(1, round(n_images * TEST_SHARE)) if with_test and n_images >= 4 else 0
    return n_validation, n_test


def _rank(seed: int, label: str, name: str) -> bytes:
    text = f"{seed}\0{label}\0{name}"
    # File names may contain bytes that are not valid Unicode.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
