"""Files with derived arrays: copies of the arrays, or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from teachmesh.bank.atomic import TEMP_PREFIX
from teachmesh.bank.folder import ARRAYS_SUFFIX, ArrayFiles
from teachmesh.data.tensor_file import SavedArrays
from tests.bank.failing import FailingOps
from tests.bank.test_damage import damage

KEYS = ["a" * 64, "", "ü\n"]
ARRAYS = {
    "matrices": np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32),
    "offsets": np.array([[1.5, -np.inf], [np.pi, 0.0], [-0.0, 2.0]]),
}


def files(folder: Path, origin: str = "here") -> ArrayFiles:
    """Return the files of a folder that need not exist."""
    return ArrayFiles(folder / "derived" / "part", origin)


def saved(store: ArrayFiles, seed: int = 0, replaces: str = "") -> SavedArrays:
    """Save arrays that depend on a seed."""
    found = store.save(KEYS, {**ARRAYS, "seed": np.array([seed])}, replaces)
    assert found is not None
    return found


def paths(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_arrays_come_back_with_their_bytes_and_can_be_changed(tmp_path: Path) -> None:
    """Changes stay in memory: the file and other processes do not see them."""
    found = saved(files(tmp_path))
    (path,) = paths(tmp_path)
    before = path.read_bytes()
    (again,) = files(tmp_path).load()
    for one in (found, again):
        assert (one.name, one.keys) == (path.stem, tuple(KEYS))
        for name, array in ARRAYS.items():
            assert one.arrays[name].tobytes() == array.tobytes()
            assert (one.arrays[name].dtype, one.arrays[name].shape) == (array.dtype, array.shape)
            one.arrays[name][:] = 7
    assert path.read_bytes() == before
    assert hashlib.sha256(before).hexdigest() == path.stem


@pytest.mark.parametrize(
    "kind", ["first bit", "last bit", "middle byte", "truncated", "empty", "zeros"]
)
def test_a_damaged_file_is_a_miss_and_is_removed(tmp_path: Path, kind: str) -> None:
    """The other file is still found."""
    store = files(tmp_path)
    bad, good = saved(store, 0), saved(store, 1)
    damage(next(path for path in paths(tmp_path) if path.stem == bad.name), kind)
    assert [found.name for found in store.load()] == [good.name]
    assert [path.stem for path in paths(tmp_path)] == [good.name]


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 100, b"\2" + bytes(7) + b"[]"])
def test_a_foreign_file_is_a_miss(tmp_path: Path, content: bytes) -> None:
    """Even if its name is its hash."""
    store = files(tmp_path)
    good = saved(store)
    name = f"{hashlib.sha256(content).hexdigest()}{ARRAYS_SUFFIX}"
    (paths(tmp_path)[0].parent / name).write_bytes(content)
    assert [found.name for found in store.load()] == [good.name]


def test_arrays_of_another_origin_are_not_loaded(tmp_path: Path) -> None:
    """They were computed by another version or on another processor."""
    saved(files(tmp_path, "there"))
    assert list(files(tmp_path, "here").load()) == []
    assert paths(tmp_path) == []


def test_a_replaced_file_is_removed_and_its_arrays_stay_mapped(tmp_path: Path) -> None:
    """Another process may still use them, and may replace the same file itself."""
    store = files(tmp_path)
    old = saved(store, 0)
    (mapped,) = store.load()
    new = saved(store, 1, replaces=old.name)
    assert [path.stem for path in paths(tmp_path)] == [new.name]
    assert mapped.arrays["matrices"].tobytes() == ARRAYS["matrices"].tobytes()
    other = saved(store, 2, replaces=old.name)
    assert saved(store, 2, replaces=other.name).name == other.name  # equal arrays, equal names
    assert {found.name for found in store.load()} == {new.name, other.name}


def test_a_disk_that_fails_at_any_operation_loses_only_the_file(tmp_path: Path) -> None:
    """No error, no half-written file, and the old file stays unless there is a new one."""
    old = saved(files(tmp_path))
    for fail_at in range(1, 20):
        ops = FailingOps(fail_at, for_ever=True)
        store = ArrayFiles(tmp_path / "derived" / "part", "here", ops)
        found = store.save(KEYS, {"one": np.ones(fail_at)}, old.name)
        names = {path.stem for path in paths(tmp_path) if path.suffix == ARRAYS_SUFFIX}
        assert found is None or found.name in names
        assert found is not None or names == {old.name}
        if not ops.has_failed:
            break
        store.load()
    assert found is not None
    assert found.name in names
    assert old.name not in names
    assert {one.name for one in files(tmp_path).load()} == names
    assert not list(tmp_path.rglob(f"{TEMP_PREFIX}*"))


def test_a_folder_that_is_a_file_holds_nothing(tmp_path: Path) -> None:
    """As on a disk where nothing can be written."""
    (tmp_path / "derived").write_bytes(b"")
    store = files(tmp_path)
    assert list(store.load()) == []
    assert store.save(KEYS, ARRAYS, "") is None
    store.remove("x")
