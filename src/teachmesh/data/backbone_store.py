"""Backbones of a home on disk, one folder each, and their export to a single file.

- `<alias>/backbone.json`: description of the backbone.
- `<alias>/weights.safetensors`: the weights file, unchanged.
- `<alias>/reference.safetensors`: scale and projection of the latents.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from teachmesh.data.names import check_name
from teachmesh.data.tensor_file import read_tensors, write_tensors
from teachmesh.errors import BackboneError, DataError, StorageError

ABOUT_FILE = "backbone.json"
WEIGHTS_FILE = "weights.safetensors"
REFERENCE_FILE = "reference.safetensors"
EXPORT_SCHEMA = "teachmesh.backbone-file/1"
_ALIAS_LIMIT = 64
# Folders with this prefix are being written or removed; they are never listed as backbones.
_UNFINISHED = ".unfinished-"
_STALE_S = 24 * 3600


@dataclass(frozen=True, eq=False)
class StoredBackbone:
    """Contents of a backbone's files.

    Attributes:
        about: description as JSON values, with architecture, options, preprocessing, fingerprint.
        weights: bytes of the weights file (safetensors).
        reference: bytes of the reference file.
    """

    about: dict[str, Any]
    weights: bytes
    reference: bytes


class BackboneStore:
    """The backbones that the user added to one home.

    Args:
        folder: the home's folder of backbones; created on the first save.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the aliases of all backbones, sorted."""
        if not self.folder.is_dir():
            return []
        folders = (path.name for path in self.folder.iterdir() if path.is_dir())
        return sorted(name for name in folders if not name.startswith("."))

    def about(self, name: str) -> dict[str, Any]:
        """Read the description of a backbone, without its weights.

        Raises:
            BackboneError: the backbone is missing or damaged.
        """
        try:
            about = json.loads(self._read(name, ABOUT_FILE))
        except (ValueError, RecursionError):
            about = None
        if not isinstance(about, dict):
            raise BackboneError(f"the backbone {name!r} is damaged; remove it and add it again")
        return about

    def load(self, name: str) -> StoredBackbone:
        """Read all files of a backbone.

        Raises:
            BackboneError: the backbone is missing, damaged or incomplete.
        """
        weights, reference = self._read(name, WEIGHTS_FILE), self._read(name, REFERENCE_FILE)
        return StoredBackbone(self.about(name), weights, reference)

    def save(self, name: str, stored: StoredBackbone) -> None:
        """Add a backbone atomically; its files are on the disk when this returns.

        Raises:
            BackboneError: the alias is taken or is not a valid folder name.
            StorageError: the files cannot be written.
        """
        self.check_new(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.folder) as temporary:
                complete = Path(temporary) / "backbone"
                complete.mkdir()
                _write(complete / WEIGHTS_FILE, stored.weights)
                _write(complete / REFERENCE_FILE, stored.reference)
                text = json.dumps(stored.about, indent=2, sort_keys=True) + "\n"
                _write(complete / ABOUT_FILE, text.encode())
                _sync_folder(complete)
                complete.rename(self.folder / name)
            _sync_folder(self.folder)
        except OSError as error:
            raise StorageError(
                f"could not save the backbone {name!r} in '{self.folder}': {error.strerror}"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a backbone.

        Raises:
            BackboneError: there is no backbone with this alias.
            StorageError: the backbone cannot be removed.
        """
        if name not in self.names():
            raise BackboneError(f"there is no backbone {name!r} to remove")
        try:
            # A single rename hides the backbone, so a crash never leaves an incomplete backbone.
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.folder) as temporary:
                (self.folder / name).rename(Path(temporary) / "backbone")
                _sync_folder(self.folder)
        except OSError as error:
            raise StorageError(f"could not remove {name!r}: {error.strerror}") from error

    def reference_bytes(self, sha256: str) -> bytes | None:
        """Return the reference file with this hash, or None if no backbone has such a file."""
        for name in self.names():
            try:
                data = self._read(name, REFERENCE_FILE)
            except BackboneError:
                continue  # a damaged backbone must not hide the others
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None

    def check_new(self, name: str) -> None:
        """Check that an alias can be used for a new backbone.

        Raises:
            BackboneError: the alias is taken or is not a valid folder name.
        """
        try:
            normal = check_name("backbone alias", name, _ALIAS_LIMIT, as_file=True)
        except DataError as error:
            raise BackboneError(str(error)) from error
        if normal != name:
            raise BackboneError(f"expected the alias {name!r} in Unicode NFC; type it again")
        if (self.folder / name).exists():
            raise BackboneError(
                f"expected a new alias, {name!r} is taken; choose another with --as, or remove it"
            )

    def _read(self, name: str, file: str) -> bytes:
        try:
            return (self.folder / name / file).read_bytes()
        except OSError as error:
            raise BackboneError(
                f"the backbone {name!r} is incomplete ({file}: {error.strerror}); remove it and "
                "add it again"
            ) from error

    def _sweep(self) -> None:
        """Remove old folders left behind by killed processes; recent folders may be in use."""
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path, ignore_errors=True)


def pack(stored: StoredBackbone) -> bytes:
    """Pack a backbone with its reference into one file; equal backbones give equal bytes.

    Each file is stored unchanged as one uint8 array, so no number is converted.
    """
    tensors = {
        "weights": np.frombuffer(stored.weights, dtype=np.uint8),
        "reference": np.frombuffer(stored.reference, dtype=np.uint8),
    }
    return write_tensors({"schema": EXPORT_SCHEMA, "about": stored.about}, tensors)


def unpack(data: bytes) -> StoredBackbone:
    """Read a file written by `pack`.

    Raises:
        BackboneError: the data was not written by `pack`, or is truncated.
    """
    try:
        document, tensors = read_tensors(data, EXPORT_SCHEMA)
        about = document.get("about")
        if not isinstance(about, dict) or set(tensors) != {"weights", "reference"}:
            raise ValueError("something is missing")
    except ValueError as error:
        raise BackboneError(
            f"expected a file written by `teachmesh backbone export`, but {error}; export it again"
        ) from error
    return StoredBackbone(about, tensors["weights"].tobytes(), tensors["reference"].tobytes())


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open folders and does not need to flush them
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
