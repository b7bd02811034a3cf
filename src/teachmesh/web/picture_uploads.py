"""Pictures that are uploaded class by class, before they are learned."""

from __future__ import annotations

import csv
import secrets
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from teachmesh.bank.atomic import storage_errors
from teachmesh.data.names import check_class_name, shown
from teachmesh.errors import DataError
from teachmesh.web.http_errors import HttpRefusal
from teachmesh.web.web_limits import WebLimits

TABLE = "task.csv"


@dataclass(eq=False)
class PictureUpload:
    """Pictures of one task in a folder of the server's own.

    Files have numbers as names; the names that a caller gave are only shown.

    Attributes:
        id: random name of the upload.
        folder: folder of the files.
        names: the caller's name of each file.
        labels: class of each file.
        size_bytes: size of all files.
        used_s: time of the last change, from `time.monotonic()`.
    """

    id: str
    folder: Path
    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    size_bytes: int = 0
    used_s: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, label: str, files: Sequence[tuple[str, IO[bytes]]], limits: WebLimits) -> None:
        """Save pictures of one class.

        Args:
            label: name of the class.
            files: name and content of each picture.
            limits: limits of an upload.

        Raises:
            DataError: the name of the class is not valid.
            HttpRefusal: 413 if the upload becomes too large.
            StorageError: a file cannot be saved.
        """
        name = check_class_name(label)
        with self.lock, storage_errors("could not save the pictures"):
            if len(self.names) + len(files) > limits.upload_files:
                raise HttpRefusal(413, f"expected at most {limits.upload_files:,} pictures in all")
            for given, content in files:
                data = content.read()
                if self.size_bytes + len(data) > limits.upload_bytes:
                    raise HttpRefusal(
                        413, f"expected at most {limits.upload_bytes >> 20} MiB in all"
                    )
                (self.folder / _stored(len(self.names))).write_bytes(data)
                self.size_bytes += len(data)
                self.names.append(shown(given, 120))
                self.labels.append(name)
            self.used_s = time.monotonic()

    def write_table(self) -> Path:
        """Write the CSV file that `Agent.learn` reads, and return its path.

        Raises:
            DataError: there is no picture.
            StorageError: the file cannot be written.
        """
        if not self.names:
            raise DataError("expected pictures to learn from, got none; add pictures of a class")
        path = self.folder / TABLE
        with storage_errors("could not save the list of pictures"), path.open("w", newline="") as f:
            writer = csv.writer(f)
            writer.writerow(["path", "label"])
            writer.writerows((_stored(i), label) for i, label in enumerate(self.labels))
        return path

    def public_text(self, text: str) -> str:
        """Replace paths of this upload in a message by the names that the caller gave."""
        for number in reversed(range(len(self.names))):
            text = text.replace(str(self.folder / _stored(number)), self.names[number])
        return text.replace(str(self.folder / TABLE), "the pictures").replace(
            str(self.folder), "the pictures"
        )

    def to_json(self) -> dict[str, Any]:
        """Return number and classes of the pictures."""
        classes = {label: self.labels.count(label) for label in sorted(set(self.labels))}
        return {
            "schema": "teachmesh.upload/1",
            "upload": self.id,
            "images": len(self.names),
            "size_bytes": self.size_bytes,
            "classes": classes,
        }


class PictureUploads:
    """All open uploads of one server.

    Args:
        folder: folder for the files; uploads of an earlier run are deleted from it.
        limits: limits of uploads.
    """

    def __init__(self, folder: Path, limits: WebLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._open: dict[str, PictureUpload] = {}
        self._lock = threading.Lock()
        shutil.rmtree(folder, ignore_errors=True)

    def create(self) -> PictureUpload:
        """Begin an upload.

        Raises:
            HttpRefusal: 429 if too many are open.
            StorageError: the folder cannot be made.
        """
        with self._lock:
            self._drop_idle()
            if len(self._open) >= self._limits.uploads:
                raise HttpRefusal(429, "expected fewer open uploads; finish or delete one first")
            name = secrets.token_hex(8)
            folder = self._folder / name
            with storage_errors("could not make a folder for the pictures"):
                folder.mkdir(parents=True, mode=0o700)
            return self._open.setdefault(name, PictureUpload(name, folder))

    def find(self, upload_id: str) -> PictureUpload:
        """Return an open upload.

        Raises:
            HttpRefusal: 404 if there is none of this id.
        """
        found = self._open.get(upload_id)
        if found is None:
            raise HttpRefusal(404, "expected an open upload; begin one with POST /v1/uploads")
        return found

    def take(self, upload_id: str) -> PictureUpload:
        """Return an upload and close it; its files stay until `discard`.

        Raises:
            HttpRefusal: 404 if there is none of this id.
        """
        with self._lock:
            found = self.find(upload_id)
            del self._open[upload_id]
            return found

    def discard(self, upload: PictureUpload) -> None:
        """Delete an upload with its files."""
        with self._lock:
            self._open.pop(upload.id, None)
        shutil.rmtree(upload.folder, ignore_errors=True)

    def close(self) -> None:
        """Delete the files of all uploads."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _drop_idle(self) -> None:
        oldest_s = time.monotonic() - self._limits.upload_idle_s
        for upload in [u for u in self._open.values() if u.used_s < oldest_s]:
            del self._open[upload.id]
            shutil.rmtree(upload.folder, ignore_errors=True)


def _stored(number: int) -> str:
    return f"{number:05}"
