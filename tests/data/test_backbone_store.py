"""The backbones of a home on disk."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from teachmesh.data.backbone_store import BackboneStore, StoredBackbone, pack, unpack
from teachmesh.errors import BackboneError, StorageError

STORED = StoredBackbone({"architecture": "net", "size": 96}, b"weights " * 100, b"reference")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Files are stored unchanged; the folder is made when needed."""
    store = BackboneStore(tmp_path / "home" / "backbones")
    assert store.names() == []
    store.save("beta", STORED)
    store.save("alpha", STORED)
    assert store.names() == ["alpha", "beta"]
    found = store.load("beta")
    assert (found.about, found.weights, found.reference) == (
        STORED.about,
        STORED.weights,
        STORED.reference,
    )


def test_a_removed_backbone_is_gone(tmp_path: Path) -> None:
    """The alias is free again, and nothing else is in the folder."""
    store = BackboneStore(tmp_path)
    store.save("net", STORED)
    store.remove("net")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BackboneError, match="no backbone 'net'"):
        store.remove("net")
    store.save("net", STORED)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\nb", "x" * 65, "con", "e\u0301"])
def test_an_alias_that_cannot_name_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written, not even outside of the folder."""
    with pytest.raises(BackboneError, match="expected"):
        BackboneStore(tmp_path / "in").save(name, STORED)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_alias_is_refused_and_its_backbone_kept(tmp_path: Path) -> None:
    """A backbone never changes under its name."""
    store = BackboneStore(tmp_path)
    store.save("net", STORED)
    with pytest.raises(BackboneError, match="'net' is taken; choose another with --as"):
        store.save("net", StoredBackbone({}, b"other", b"other"))
    assert store.load("net").weights == STORED.weights


def test_a_missing_or_damaged_backbone_is_said(tmp_path: Path) -> None:
    """The message names the backbone, the file and the remedy."""
    store = BackboneStore(tmp_path)
    with pytest.raises(BackboneError, match=r"'net' is incomplete .*weights.* remove it"):
        store.load("net")
    store.save("net", STORED)
    about = tmp_path / "net" / "backbone.json"
    for text in ("{", "[]", "[" * 100_000, "null"):
        about.write_text(text)
        with pytest.raises(BackboneError, match="'net' is damaged"):
            store.about("net")
    about.unlink()
    assert store.names() == ["net"]  # listed, so that it can be removed
    store.remove("net")


def test_a_reference_is_found_by_its_hash(tmp_path: Path) -> None:
    """A reference is found by its hash, even next to a damaged backbone."""
    store = BackboneStore(tmp_path)
    store.save("broken", STORED)
    (tmp_path / "broken" / "reference.safetensors").unlink()
    store.save("net", StoredBackbone({}, b"w", b"some reference"))
    assert store.reference_bytes(hashlib.sha256(b"some reference").hexdigest()) == b"some reference"
    assert store.reference_bytes(hashlib.sha256(b"reference").hexdigest()) is None


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A real limit on the size of files: exit code 8, nothing half-written, then it works."""
    store = BackboneStore(tmp_path)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[1]))
    try:
        with pytest.raises(StorageError, match="could not save the backbone 'net'"):
            store.save("net", STORED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
    store.save("net", STORED)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file lies where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not save"):
        BackboneStore(tmp_path / "file" / "backbones").save("net", STORED)


@pytest.mark.usefixtures("forked_programs")
def test_a_process_that_is_killed_while_saving_leaves_nothing_visible(tmp_path: Path) -> None:
    """After SIGKILL a partial folder stays hidden, and is removed once it is old."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from teachmesh.data import backbone_store as s\n"
        "write = s._write\n"
        "def dying(path, data): write(path, data); os.kill(os.getpid(), signal.SIGKILL)\n"
        "s._write = dying\n"
        "s.BackboneStore(Path(sys.argv[1])).save('net', s.StoredBackbone({}, b'w', b'r'))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False)
    assert run.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    store = BackboneStore(tmp_path)
    assert store.names() == []
    store.save("one", STORED)
    assert left.exists()  # young: it could belong to a process that lives
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(left, (two_days_ago, two_days_ago))
    store.save("two", STORED)
    assert not left.exists()


def test_a_carried_backbone_is_the_same(tmp_path: Path) -> None:
    """unpack(pack(b)) == b, and equal backbones give equal files."""
    data = pack(STORED)
    found = unpack(data)
    assert (found.about, found.weights, found.reference) == (
        STORED.about,
        STORED.weights,
        STORED.reference,
    )
    turned = StoredBackbone(dict(reversed(STORED.about.items())), STORED.weights, STORED.reference)
    assert pack(turned) == data


@pytest.mark.parametrize(
    "data", [b"", b"PK\3\4 a zip", pack(STORED)[:-1], pack(STORED) + b"x", pack(STORED)[:50]]
)
def test_what_was_not_exported_is_refused(data: bytes) -> None:
    """Cut off, padded, or another file."""
    with pytest.raises(BackboneError, match="written by `teachmesh backbone export`, but"):
        unpack(data)
