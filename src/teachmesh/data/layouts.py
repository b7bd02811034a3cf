"""How the folders of a source are understood: as classes, or as splits with classes below.

Nothing is guessed: folders that mean a split next to folders that mean none are an error, unless
the caller chooses a layout.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from teachmesh.data.names import shown
from teachmesh.errors import DataError

SplitName = Literal["train", "validation", "test"]
Layout = Literal["auto", "classes", "splits"]
LAYOUTS: tuple[Layout, ...] = ("auto", "classes", "splits")

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "validate": "validation",
    "dev": "validation",
    "valset": "validation",
    "test": "test",
    "testing": "test",
    "testset": "test",
}
# Words that are often next to a split's name: training_set, seg_train, train-images, val2017.
_FILLERS = frozenset(
    {"a", "an", "the", "my", "data", "dataset", "set", "seg", "segmented", "image"}
    | {"images", "img", "imgs", "photo", "photos", "pictures", "folder", "split", "part"}
    | {"subset", "full", "raw", "processed", "cropped"}
)

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Understood:
    """The layout of a source.

    Attributes:
        splits: split of each top folder that is one; empty if the top folders are classes.
        remarks: remarks on folders that are left out, one sentence each.
    """

    splits: dict[str, SplitName]
    remarks: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return the folders of each split for a message; "" without splits."""
        return ", ".join(f"'{shown(top, 40)}' = {split}" for top, split in self.splits.items())


def split_word(name: str) -> SplitName | None:
    """Return the split that a folder or a CSV value names, or None.

    Examples:
        >>> [split_word(n) for n in ("Train", "seg_test", "validation-set", "val2017", "trains")]
        ['train', 'test', 'validation', 'validation', None]
    """
    words = [w for w in re.split(r"[^a-z]+", name.casefold()) if w and w not in _FILLERS]
    return SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def understand(images: Collection[Parts], path: str, layout: Layout) -> Understood:
    """Decide whether the top folders are splits or classes.

    Args:
        images: parts of the paths of all images, below the common top folder.
        path: the source, for messages.
        layout: "classes" or "splits" to choose; "auto" to decide by names and depths.

    Raises:
        DataError: the folders can mean both, two folders mean one split, or there is no folder of
            training images.
    """
    tops = sorted({parts[0] for parts in images if len(parts) >= 2})
    nested = {parts[0] for parts in images if len(parts) >= 3}
    splits = {top: word for top in tops if top in nested and (word := split_word(top))}
    if layout == "classes" or (layout == "auto" and not splits):
        if layout == "auto":
            _refuse_bare_splits(tops, path)
            _refuse_inner_splits(images, path)
        return Understood({})
    others = [top for top in tops if top not in splits]
    if layout == "auto" and others:
        _refuse_ambiguous(images, splits, others, path)
    _check_splits(splits, path)
    n_left = sum(parts[0] in others for parts in images if len(parts) >= 2)
    named = ", ".join(f"'{shown(top, 40)}'" for top in others[:4])
    remark = f"ignored next to the splits: {n_left} images in {named}"
    return Understood(splits, (remark,) if others else ())


def _refuse_ambiguous(
    images: Iterable[Parts], splits: dict[str, SplitName], others: list[str], path: str
) -> None:
    """Raise an error if folders next to the splits may be classes or parts of the task."""
    unlabelled = all(split_word(top) for top in others)
    classes = {parts[1] for parts in images if len(parts) >= 3 and parts[0] in splits}
    below = {parts[1] for parts in images if len(parts) >= 3 and parts[0] in others}
    clear = len(set(splits.values())) > 1 and not classes & below
    if "train" in splits.values() and (unlabelled or clear):
        return
    raise DataError(
        f"expected folders of classes or of splits in '{shown(path, 200)}', got "
        f"{_quoted(splits)} next to {_quoted(others)}, which can mean both; use --layout classes "
        "or --layout splits"
    )


def _refuse_bare_splits(tops: Collection[str], path: str) -> None:
    if len(tops) > 1 and all(split_word(top) for top in tops):
        raise DataError(
            f"expected class folders in {_quoted(tops)} of '{shown(path, 200)}', got images "
            "directly in them; use --layout classes if these are the classes"
        )


def _refuse_inner_splits(images: Iterable[Parts], path: str) -> None:
    inner = {parts[1] for parts in images if len(parts) >= 3}
    flat = any(len(parts) == 2 for parts in images)
    if not flat and len(inner) > 1 and all(split_word(name) for name in inner):
        raise DataError(
            f"expected splits above the classes in '{shown(path, 200)}', got {_quoted(inner)} "
            "below each class; move them up, or use --layout classes to learn from all images"
        )


def _check_splits(splits: dict[str, SplitName], path: str) -> None:
    if len(splits) != len(set(splits.values())):
        raise DataError(
            f"expected one folder per split in '{shown(path, 200)}', got {_quoted(splits)}; merge "
            "the two that mean the same"
        )
    if "train" not in splits.values():
        got = " and ".join(f"{shown(top)}/" for top in splits) or "none of train/, val/, test/"
        raise DataError(
            f"expected a folder train/ next to {got} in '{shown(path, 200)}', got none; add "
            "training images, or use --layout classes"
        )


def _quoted(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""
    return ", ".join(f"'{shown(name, 40)}'" for name in listed[:4]) + more
