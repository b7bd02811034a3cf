"""Outputs go into pipes, devices and links; anything else that is no file is refused."""

from __future__ import annotations

import os
import re
import stat
import threading
from pathlib import Path

import pytest

from teachmesh.bank.output_file import check_output, write_file
from teachmesh.errors import StorageError

DATA = bytes(range(256)) * 1000


def test_bytes_go_into_a_pipe_which_stays(tmp_path: Path) -> None:
    """The reader gets every byte, and the path is still a pipe."""
    pipe = tmp_path / "sink"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, DATA)
    reader.join()
    assert got == [DATA]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    """Links to a file, to a link and to a missing file are followed; permissions are kept."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "second").symlink_to("link")
    (tmp_path / "dangling").symlink_to("new")
    write_file(tmp_path / "second", DATA)
    write_file(tmp_path / "dangling", DATA)
    assert (tmp_path / "second").is_symlink()
    assert (tmp_path / "dangling").is_symlink()
    assert (tmp_path / "real").read_bytes() == (tmp_path / "new").read_bytes() == DATA
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640


def test_a_full_device_is_one_sentence() -> None:
    """`/dev/full` is a character device without space; it is still one afterwards."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StorageError, match="could not write /dev/full: the disk is full"):
        write_file(full, DATA)
    assert full.is_char_device()


def _circle(folder: Path) -> Path:
    (folder / "circle").symlink_to("circle")
    return folder / "circle"


def _below_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"")
    return folder / "file" / "x"


REFUSED = {
    "a folder": (lambda folder: folder, "expected a file, got the folder"),
    "a missing folder": (lambda folder: folder / "no" / "x", "its folder does not exist"),
    "a circle of links": (_circle, "its links form a circle"),
    "a path below a file": (_below_a_file, "a part of its path is a file"),
    "a long name": (lambda folder: folder / ("x" * 300), "its name is too long"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_paths_are_refused_before_and_while_writing(kind: str, tmp_path: Path) -> None:
    """The check before the work and the writing give the same sentence; nothing is created."""
    make, words = REFUSED[kind]
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for use in (lambda: check_output(path), lambda: write_file(path, DATA)):
        with pytest.raises(StorageError, match=re.escape(words)):
            use()
    assert sorted(tmp_path.rglob("*")) == before
