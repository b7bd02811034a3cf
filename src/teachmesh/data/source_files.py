"""Image files below a folder or in an archive: one walk for learning and for answering.

Folders and files that systems and programs make (recycle bins, thumbnails of network storage,
previews) are left out and counted. Files are images by their ending, or else by their first bytes.
Links to folders are followed, except in loops.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from teachmesh.data.archives import is_archive, scan_archive
from teachmesh.data.image_headers import sniff
from teachmesh.data.images import ImageRef
from teachmesh.data.names import shown
from teachmesh.errors import DataError

# All endings of images, read or not: such files count as unreadable instead of being ignored,
# because users expect them to be images of the class.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".png", ".apng", ".webp"}
    | {".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"}
    | {".jp2", ".j2k", ".jpf", ".jpx", ".jpc", ".heic", ".heif", ".hif", ".avif", ".svg"}
    | {".psd", ".eps", ".pdf", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"}
    | {".rw2", ".tga", ".ico", ".jxl", ".exr", ".hdr", ".pcx", ".pam", ".xcf", ".qoi"}
    | {".dds"}
)
# Names in lower case, apart from those that begin with a dot.
_SYSTEM = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "@tmp"}
    | {"@synoresource", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot"}
    | {"$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"}
    | {"lost.dir", "found.000", "network trash folder", "temporary items", "__pycache__"}
)
_MAX_DEPTH = 16

Parts = tuple[str, ...]


@dataclass
class SourceFiles:
    """Files and folders below a root, keyed by the parts of their relative paths.

    Attributes:
        images: files that are images by their ending or their first bytes.
        others: paths of all other files.
        folders: paths of all folders.
        skipped_folders: names of the folders of systems and programs, each as often as it occurs.
        skipped_files: number of hidden files and files of systems.
        links: number of links in an archive that lead to no file in it.
        unlisted: one sentence for each folder that cannot be read, by its path.
        remarks: further remarks, one sentence each.
    """

    images: dict[Parts, ImageRef] = field(default_factory=dict)
    others: set[Parts] = field(default_factory=set)
    folders: set[Parts] = field(default_factory=set)
    skipped_folders: list[str] = field(default_factory=list)
    skipped_files: int = 0
    links: int = 0
    unlisted: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, parts: Parts, image: ImageRef) -> None:
        """Add a file, as an image if it is one."""
        if is_image_name(parts[-1]) or _begins_like_an_image(image):
            self.images[parts] = image
        else:
            self.others.add(parts)

    def left_out(self) -> list[str]:
        """Return remarks on everything that was left out, one sentence each."""
        found = list(self.remarks)
        if self.skipped_folders or self.skipped_files:
            names = sorted(set(self.skipped_folders))
            some = ", ".join(f"'{shown(name, 20)}'" for name in names[:4])
            found.append(
                f"hidden and system files ignored: {len(self.skipped_folders)} folders"
                f"{f' ({some})' if some else ''}, {self.skipped_files} files"
            )
        if self.links:
            found.append(f"{counted(self.links, 'link')} in the archive ignored")
        return found


def is_image_name(name: str) -> bool:
    """Return whether a file name has the ending of an image format, supported or not."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - any text


def is_system_name(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by a system or a network storage.

    Examples:
        >>> [name for name in ("@eaDir", ".git", "cat", "$RECYCLE.BIN") if is_system_name(name)]
        ['@eaDir', '.git', '$RECYCLE.BIN']
    """
    return name.startswith(".") or name.lower() in _SYSTEM


def find_source_files(path: Path) -> SourceFiles:
    """Find the image files below a folder or in an archive.

    Raises:
        DataError: the archive cannot be read. Unreadable folders are **not** errors here, see
            `SourceFiles.unlisted`.
    """
    found = SourceFiles()
    if is_archive(path):
        _read_archive(path, found)
    else:
        _walk(path, (), frozenset(), found)
    return found


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun.

    Examples:
        >>> counted(1, "file"), counted(2, "class", "classes")
        ('1 file', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _read_archive(path: Path, found: SourceFiles) -> None:
    contents = scan_archive(path)
    found.links = contents.links
    found.remarks += contents.remarks
    system: dict[Parts, None] = {}
    for member in contents.members:
        # Absolute names and backslashes are harmless, because nothing is extracted.
        parts = tuple(p for p in member.name.replace("\\", "/").split("/") if p not in ("", "."))
        if not parts or ".." in parts:
            continue
        hidden = next((n for n, part in enumerate(parts) if is_system_name(part)), None)
        if hidden is not None and (hidden < len(parts) - 1 or member.is_folder):
            system[parts[: hidden + 1]] = None
        elif hidden is not None:
            found.skipped_files += 1
        elif member.is_folder:
            found.folders.add(parts)
        else:
            found.add(parts, ImageRef(path, member.name, member.offset, member.size_bytes))
    found.skipped_folders += [parts[-1] for parts in system]


def _walk(
    folder: Path, parts: Parts, above: frozenset[tuple[int, int]], found: SourceFiles
) -> None:
    try:
        state = folder.stat()
        here = (state.st_dev, state.st_ino)
        if here in above or len(parts) > _MAX_DEPTH:
            return
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in _visible(listed, found):
            below = (*parts, entry.name)
            if entry.is_dir():
                found.folders.add(below)
                _walk(folder / entry.name, below, above | {here}, found)
            # A dangling link counts as a file, and therefore as an unreadable image.
            elif entry.is_file() or entry.is_symlink():
                found.add(below, ImageRef(folder / entry.name))
    except OSError as error:
        found.unlisted[str(folder)] = (
            f"expected a readable folder '{shown(str(folder), 200)}', got "
            f"'{error.strerror}'; check its permissions"
        )


def _visible(entries: list[os.DirEntry[str]], found: SourceFiles) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        if not is_system_name(entry.name):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            found.skipped_folders.append(entry.name)
        else:
            found.skipped_files += 1


def _begins_like_an_image(image: ImageRef) -> bool:
    try:
        return sniff(image.head()) is not None
    except DataError:
        return False
