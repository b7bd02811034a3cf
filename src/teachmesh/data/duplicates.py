"""Images whose files are equal byte for byte: in two splits, in two classes, or twice.

Only files of equal size are read and hashed, so that a task of different photos costs nothing.
Copies that were saved again, with other metadata or in another format, are found by their pixels
when the images are decoded, see `pixel_copies`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass

from teachmesh.data.image_splits import UNREADABLE, ContentHashes
from teachmesh.data.images import ImageRef
from teachmesh.data.layouts import SplitName
from teachmesh.data.names import shown
from teachmesh.data.pixel_copies import EqualFiles
from teachmesh.data.source_files import counted
from teachmesh.errors import DataError

Member = tuple[int, ImageRef]
"""Class index and image."""
_ORDER: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class _Copy:
    split: SplitName
    label: int
    image: ImageRef

    def place(self) -> str:
        path = self.image.member or str(self.image.path)
        return shown("/".join(path.replace("\\", "/").split("/")[-3:]), 60)


def without_shared(
    parts: dict[SplitName, list[Member]],
    edges: Container[ImageRef] = (),
    hashes: ContentHashes | None = None,
) -> tuple[dict[SplitName, list[Member]], list[str], EqualFiles]:
    """Take images out of validation and test that train, or validation, also has.

    Args:
        parts: images of each split.
        edges: images that stay, because a split that was made from their content may change.
        hashes: hashes of files that are known already.

    Returns:
        The parts without these images; validation keeps them if it has no others. Also remarks
        with numbers and an example: on images in two splits, in two classes, and twice in one
        class of a split. At last the numbers of the last two kinds.
    """
    copies = [_Copy(s, label, image) for s in _ORDER for label, image in parts[s]]
    groups = _equal(copies, hashes or ContentHashes())
    shared: list[tuple[_Copy, _Copy]] = []
    conflicting: list[tuple[_Copy, _Copy]] = []
    twice: list[tuple[_Copy, _Copy]] = []
    for first, *others in groups:
        for other in others:
            if other.split != first.split and other.image not in edges:
                shared.append((first, other))
            elif other.split == first.split and other.label == first.label:
                twice.append((first, other))
        conflicting += [(first, o) for o in others if o.label != first.label][:1]
    removed = {(copy.split, copy.image) for _, copy in shared}
    kept = {s: [m for m in parts[s] if (s, m[1]) not in removed] for s in _ORDER}
    stay = bool(parts["validation"]) and not kept["validation"]
    if stay:  # an estimate that is too good is better than none
        kept["validation"] = parts["validation"]
    done = {"validation": "kept, because there are no others" if stay else "left out"}
    remarks = [_shared_remark(shared, split, done.get(split, "left out")) for split in _ORDER[1:]]
    remarks.append(_remark(conflicting, "in two classes"))
    remarks.append(_remark(twice, "twice in one class"))
    numbers = EqualFiles(len(conflicting), len(twice))
    return kept, [remark for remark in remarks if remark], numbers


def _equal(copies: Sequence[_Copy], hashes: ContentHashes) -> list[list[_Copy]]:
    """Group copies with equal bytes, in order; single images are left out."""
    by_size: defaultdict[int, list[_Copy]] = defaultdict(list)
    for copy in copies:
        by_size[_size(copy.image)].append(copy)
    by_digest: defaultdict[bytes, list[_Copy]] = defaultdict(list)
    for copy in (c for group in by_size.values() if len(group) > 1 for c in group):
        digest = hashes.of(copy.image)
        if digest != UNREADABLE:
            by_digest[digest].append(copy)
    return [group for group in by_digest.values() if len(group) > 1]


def _size(image: ImageRef) -> int:
    try:
        return image.n_bytes()
    except DataError:  # reported when the image is decoded
        return -1


def _shared_remark(pairs: Sequence[tuple[_Copy, _Copy]], split: SplitName, done: str) -> str:
    chosen = [pair for pair in pairs if pair[1].split == split]
    if not chosen:
        return ""
    first, other = chosen[0]
    n = counted(len(chosen), f"{split} image")
    return f"{n} equal to images of {first.split}, {done}: {other.place()}"


def _remark(pairs: Sequence[tuple[_Copy, _Copy]], where: str) -> str:
    if not pairs:
        return ""
    first, other = pairs[0]
    return f"{counted(len(pairs), 'image')} {where}: {first.place()} = {other.place()}"
