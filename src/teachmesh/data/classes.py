"""Checks of a task's classes: names are printable and distinct, and no class lacks images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from teachmesh.data.listing import Item
from teachmesh.data.names import check_class_name, comparison_key, shown
from teachmesh.errors import DataError

MAX_CLASSES = 10_000


def class_names(items: Sequence[Item]) -> dict[str, str]:
    """Map each label, as found in the source, to its class name in NFC.

    Two spellings of one class are an error, because merging the classes could hide a mistake.
    The user can easily rename one of the two.

    Raises:
        DataError: a name is not valid, or two names look the same to a reader.
    """
    names = {label: check_class_name(label) for label in sorted({i.label for i in items})}
    spellings: dict[str, set[str]] = defaultdict(set)
    for name in names.values():
        spellings[comparison_key(name)].add(name)
    folders: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for item in items:
        folders[item.split, names[item.label]].add(item.label)
    for group in (*spellings.values(), *folders.values()):
        if len(group) > 1:
            raise DataError(
                f"expected class names that differ in more than case or encoding, got "
                f"{some(sorted(group))}; give one class one name in all splits"
            )
    return names


def trained_classes(
    items: Sequence[Item], labels: dict[str, str], source: str, least: int = 2
) -> tuple[str, ...]:
    """Return the sorted class names, after checking their number and their training images.

    Args:
        items: all images of the task.
        labels: mapping from each label, as found in the source, to its class name.
        source: path of the task, for the messages.
        least: minimum number of classes, 1 or 2.

    Raises:
        DataError: there are too few or too many classes, or a class has no training images.
    """
    classes = sorted({labels[i.label] for i in items if i.split in (None, "train")})
    if len(classes) < least:
        got = f"{len(classes)} ({some(classes)})" if classes else "none"
        wanted = ("one class", "two classes")[least - 1]
        raise DataError(
            f"expected at least {wanted} with images in '{shown(source, 200)}', got {got}; "
            "put the images of each class into a folder of its name"
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"expected at most {MAX_CLASSES:,} classes in '{shown(source, 200)}', got "
            f"{len(classes):,}; split the task"
        )
    unknown = sorted(set(labels.values()) - set(classes))
    if unknown:
        raise DataError(
            f"expected training images for every class in '{shown(source, 200)}', got none for "
            f"{some(unknown)}; add some or remove the class from validation and test"
        )
    return tuple(classes)


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first `most` names, quoted, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{shown(name, 40)}'" for name in names[:most]) + more
