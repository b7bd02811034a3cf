"""Splits of the images of a source that were made from their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from teachmesh.data.images import ImageRef
from teachmesh.data.layouts import SplitName
from teachmesh.data.listing import Item
from teachmesh.data.splits import DEFAULT_SHARES, Edge, SplitRule, carve
from teachmesh.errors import DataError

UNREADABLE = hashlib.sha256().digest()
"""Hash of a file that cannot be read, which is reported when the image is decoded."""


class ContentHashes:
    """The SHA-256 of the files of images; each file is read once."""

    def __init__(self) -> None:
        self._known: dict[ImageRef, bytes] = {}

    def of(self, image: ImageRef) -> bytes:
        """Return the hash of an image's file; `UNREADABLE` if the file cannot be read."""
        if image not in self._known:
            try:
                self._known[image] = hashlib.sha256(image.read()).digest()
            except DataError:
                self._known[image] = UNREADABLE
        return self._known[image]


@dataclass(frozen=True, eq=False)
class Carving:
    """Rule and edges of the splits of a task, see `splits`.

    Attributes:
        rule: rule that made the splits.
        edges: images that were moved, or may have to be when their class grows.
        lacking: for each class, the result of `SplitRule.lacks`.
    """

    rule: SplitRule
    edges: Mapping[ImageRef, Edge]
    lacking: Mapping[str, tuple[bool, bool]]


def assign(
    items: Sequence[Item],
    labels: dict[str, str],
    seed: int,
    fractions: tuple[float, float] | None,
    rule: SplitRule | None = None,
    hashes: ContentHashes | None = None,
) -> tuple[list[SplitName], Carving | None]:
    """Return the split of every image of a source, and the carving; None if it is not carved.

    Args:
        items: labelled images.
        labels: class name of each label of the source.
        seed: seed for making the splits that the source does not have.
        fractions: see `tasks.read_task`.
        rule: rule to use instead of seed and fractions.
        hashes: hashes of files; by default, all files are read here.

    Raises:
        DataError: fractions are given for a source with splits.
    """
    given = {item.split for item in items}
    validation, test = DEFAULT_SHARES if fractions is None else fractions
    rule = rule or SplitRule(seed, validation, test)
    if not rule.validation and not rule.test:
        return ["train"] * len(items), Carving(rule, {}, {})
    if fractions is not None and given - {None}:
        raise DataError(
            "expected a source without splits for --split, got one whose folders or column name "
            "them; use --split 0/0 to train on every image"
        )
    splits: list[SplitName] = [item.split or "train" for item in items]
    if "validation" in given:
        return splits, None
    if None not in given:
        rule = replace(rule, test=0.0)
    pool = [n for n, item in enumerate(items) if item.split in (None, "train")]
    content = hashes or ContentHashes()
    found = carve([(labels[items[n].label], content.of(items[n].image)) for n in pool], rule)
    for n, split in zip(pool, found.splits, strict=True):
        splits[n] = split
    edges = {items[pool[n]].image: edge for n, edge in found.edges.items()}
    return splits, Carving(rule, edges, found.lacking)


@dataclass(frozen=True)
class Growth:
    """A task that images are added to.

    Attributes:
        rule: rule that made the task's splits; None if all its sources had splits.
    """

    rule: SplitRule | None


def takes_all(carving: Carving | None) -> bool:
    """Return whether every image of a task is for training."""
    return carving is not None and not carving.rule.validation and not carving.rule.test
