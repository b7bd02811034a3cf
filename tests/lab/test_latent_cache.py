"""Latents on disk: bounded, safe to kill, never wrong."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teachmesh.data.images import ImageRef
from teachmesh.errors import StorageError
from teachmesh_lab.evaluation.latent_cache import LatentCache, image_digests, split_key
from tests.data.pictures import encoded, smooth, write_folder

ARRAYS = {
    "last": np.arange(12, dtype=np.float32).reshape(3, 4),
    "kept": np.array([0, 2, 5], dtype=np.int64),
}
KEY = split_key("f" * 64, ["a", "b"])


def test_what_was_put_is_got_with_shape_and_type(tmp_path: Path) -> None:
    """A second cache object on the same folder reads it too; an unknown key is a miss."""
    LatentCache(tmp_path / "new" / "cache").put(KEY, ARRAYS)
    found = LatentCache(tmp_path / "new" / "cache").get(KEY)
    assert found is not None
    assert sorted(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert LatentCache(tmp_path).get(KEY) is None


def test_views_are_stored_by_value(tmp_path: Path) -> None:
    """A transposed, non-contiguous array comes back with its values in place."""
    cache = LatentCache(tmp_path)
    cache.put(KEY, {"last": ARRAYS["last"].T})
    found = cache.get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found["last"], ARRAYS["last"].T)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_damage_is_a_miss(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A flipped byte anywhere, or a cut, never gives other numbers."""
    cache = LatentCache(tmp_path_factory.mktemp("cache"))
    cache.put(KEY, ARRAYS)
    (path,) = cache._folder.iterdir()
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    path.write_bytes(content)
    found = cache.get(KEY)
    if found is not None:  # a space inside of the JSON header may be any other space
        assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_a_damaged_entry_is_removed_and_replaced(tmp_path: Path) -> None:
    """Zeros of the right length, as a power cut leaves them, are a miss, then a hit again."""
    cache = LatentCache(tmp_path)
    cache.put(KEY, ARRAYS)
    (path,) = tmp_path.iterdir()
    path.write_bytes(bytes(path.stat().st_size))
    assert cache.get(KEY) is None
    assert list(tmp_path.iterdir()) == []
    cache.put(KEY, ARRAYS)
    assert cache.get(KEY) is not None


def test_the_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    """Three fit; reading the oldest saves it, the second oldest goes."""
    one = {"last": np.zeros(1000, dtype=np.float32)}
    cache = LatentCache(tmp_path, limit_bytes=3 * 4300)
    keys = [split_key("f", [str(n)]) for n in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, one)
        path = tmp_path / f"{key}.safetensors"
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    assert cache.get(keys[0]) is not None
    cache.put(keys[3], one)
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]


def test_an_entry_over_the_limit_is_not_stored(tmp_path: Path) -> None:
    """One huge entry does not empty the cache."""
    cache = LatentCache(tmp_path, limit_bytes=1000)
    cache.put(KEY, {"kept": np.arange(3)})
    cache.put(split_key("g", []), {"last": np.zeros(1000, dtype=np.float32)})
    assert cache.get(KEY) is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_old_temporary_files_are_swept_and_young_ones_kept(tmp_path: Path) -> None:
    """Old temporary files are removed; recent ones stay."""
    for name, age_s in (("old.tmp", 7200), ("young.tmp", 0)):
        (tmp_path / name).write_bytes(b"x")
        if age_s:
            os.utime(tmp_path / name, (1_000_000, 1_000_000))
    LatentCache(tmp_path).prune()
    assert [p.name for p in tmp_path.iterdir()] == ["young.tmp"]


@pytest.mark.usefixtures("forked_programs")
def test_kill_nine_while_writing_leaves_whole_entries_only(tmp_path: Path) -> None:
    """All visible entries after SIGKILL are readable and right."""
    code = (
        "import sys, numpy as np\n"
        "from teachmesh_lab.evaluation.latent_cache import LatentCache, split_key\n"
        "cache = LatentCache(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "n = 0\n"
        "while True:\n"
        "    cache.put(split_key('f', [str(n)]), {'last': np.full((100, 1000), n, 'float32')})\n"
        "    n = (n + 1) % 40\n"  # a machine may stop the test, but not this program
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while len(list(tmp_path.glob("*.safetensors"))) < 5:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    cache = LatentCache(tmp_path)
    n_visible = len(list(tmp_path.glob("*.safetensors")))
    found = [cache.get(split_key("f", [str(n)])) for n in range(n_visible)]
    assert all(entry is not None and (entry["last"] == n).all() for n, entry in enumerate(found))


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    """One sentence and exit code 8; a read of it is a miss."""
    (tmp_path / "file").write_bytes(b"x")
    cache = LatentCache(tmp_path / "file" / "cache")
    assert cache.get(KEY) is None
    with pytest.raises(StorageError, match="expected to write to the latent cache") as caught:
        cache.put(KEY, ARRAYS)
    assert caught.value.exit_code == 8


def test_no_key_leaves_the_folder(tmp_path: Path) -> None:
    """A key is a hash, or is hashed."""
    cache = LatentCache(tmp_path / "cache")
    cache.put("../escape", ARRAYS)
    assert cache.get("../escape") is not None
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]


def test_the_key_depends_on_backbone_contents_and_order(tmp_path: Path) -> None:
    """Same images and backbone: same key; anything else: another."""
    write_folder(tmp_path, {f"{n}.png": encoded(smooth(4, 4, n)) for n in range(3)})
    images = [ImageRef(tmp_path / f"{n}.png") for n in range(3)]
    digests = image_digests(images)
    assert digests == [hashlib.sha256(i.read()).hexdigest() for i in images]
    keys = {
        split_key("a", digests),
        split_key("b", digests),
        split_key("a", digests[::-1]),
        split_key("a", digests[:2]),
    }
    assert len(keys) == 4
    assert split_key("a", image_digests(images)) in keys
    assert image_digests([ImageRef(tmp_path / "none")]) == ["unreadable"]
