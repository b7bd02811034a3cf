"""The classes of a task: printable, distinct names, each with training images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from teachmesh.data.listing import Item
from teachmesh.data.names import check_name, comparison_key, shown
from teachmesh.errors import DataError

MAX_CLASSES = 10_000


def class_names(items: Sequence[Item]) -> dict[str, str]:
    """Map each label as found to its class name in NFC.

    Two spellings of one class are an error, because a merge could hide a mistake and a rename is
    easy.

    Raises:
        DataError: a name cannot be shown, or two names look equal to a person.
    """
    names = {label: check_name("class", label) for label in sorted({i.label for i in items})}
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


def trained_classes(items: Sequence[Item], labels: dict[str, str], path: Path) -> tuple[str, ...]:
    """Return the sorted names of the classes with training images: at least two, and all classes.

    Args:
        items: all images of the task.
        labels: label as found -> class name, of every item.
        path: path of the task, for the messages.

    Raises:
        DataError: there are fewer than two classes or too many, or a class without training images.
    """
    classes = sorted({labels[i.label] for i in items if i.split in (None, "train")})
    if len(classes) < 2:
        got = f"{len(classes)} ({some(classes)})" if classes else "none"
        raise DataError(
            f"expected at least two classes with images in '{shown(str(path), 200)}', got {got}; "
            "put the images of each class into a folder of its name"
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"expected at most {MAX_CLASSES:,} classes in '{shown(str(path), 200)}', got "
            f"{len(classes):,}; split the task"
        )
    unknown = sorted(set(labels.values()) - set(classes))
    if unknown:
        raise DataError(
            f"expected training images for every class in '{shown(str(path), 200)}', got none for "
            f"{some(unknown)}; add some or remove the class from validation and test"
        )
    return tuple(classes)


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first names of a list, quoted, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{shown(name, 40)}'" for name in names[:most]) + more
