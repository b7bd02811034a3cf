"""Images with equal pixels, in whatever files: in two splits, in two classes, or twice.

The pixels are those that the network sees. So copies are found that were saved again, under another
name, with other metadata, or in another format without loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from teachmesh.data.layouts import SplitName
from teachmesh.data.source_files import counted


@dataclass(frozen=True)
class EqualFiles:
    """Numbers of images that remarks about equal files count already, see `duplicates`.

    Attributes:
        conflicting: number of images in two classes.
        twice: number of images that occur twice in one class.
    """

    conflicting: int = 0
    twice: int = 0


NO_EQUAL_FILES = EqualFiles()


@dataclass(frozen=True, eq=False)
class HashedImages:
    """Readable images of one split.

    Attributes:
        digests: (N,) hash of the pixels of each image, see `pixel_digests`.
        labels: (N,) class of each image.
    """

    digests: np.ndarray
    labels: np.ndarray


def pixel_remarks(
    splits: Mapping[SplitName, HashedImages], known: EqualFiles = NO_EQUAL_FILES
) -> tuple[str, ...]:
    """Return one remark, with a number, for each way in which images are equal.

    Args:
        splits: images of the splits "train", "validation" and "test"; any may be missing.
        known: equal images that have a remark already.

    Examples:
        >>> digests, labels = np.array([b"a", b"b", b"a"], dtype="S32"), np.array([0, 0, 1])
        >>> pixel_remarks({"train": HashedImages(digests, labels)})
        ('1 image in two classes, by pixels',)
    """
    classes: dict[bytes, set[int]] = {}
    places: Counter[tuple[bytes, int, str]] = Counter()
    shared: Counter[str] = Counter()
    seen: set[bytes] = set()
    for split in ("train", "validation", "test"):
        images = splits.get(split)
        if images is None:
            continue
        digests = images.digests.tolist()
        shared[split] = sum(digest in seen for digest in digests)
        seen.update(digests)
        for digest, label in zip(digests, images.labels.tolist(), strict=True):
            classes.setdefault(digest, set()).add(label)
            places[digest, label, split] += 1
    conflicting = sum(len(labels) > 1 for labels in classes.values())
    twice = sum(count - 1 for count in places.values())
    held = splits.get("validation")
    is_all = held is not None and shared["validation"] == len(held.digests)
    done = "kept, because there are no others" if is_all else "left out"
    remarks = {
        f"with the pixels of training images, {done}": (shared["validation"], "validation image"),
        "with the pixels of learned images, left out of tests": (shared["test"], "test image"),
        "in two classes, by pixels": (_beyond(conflicting, known.conflicting), "image"),
        "twice in one class, by pixels: counted once": (_beyond(twice, known.twice), "image"),
    }
    return tuple(f"{counted(n, noun)} {text}" for text, (n, noun) in remarks.items() if n)


def _beyond(count: int, known: int) -> int:
    """Return a number, or 0 if a remark about equal files counts the same images."""
    return count if count > known else 0
