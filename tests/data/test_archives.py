"""Images inside archives: read in place, by seek, within limits."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from teachmesh.data.archives import read_tar_range, scan_archive
from teachmesh.data.images import MAX_FILE_BYTES, ImageRef
from teachmesh.data.tasks import read_task
from teachmesh.errors import DataError
from tests.data.pictures import flat_tree, write_tar, write_zip

FILES = flat_tree(6)
KINDS: dict[str, Callable[[Path], Path]] = {
    "t.tar": lambda path: write_tar(path, FILES),
    "t.tar.gz": lambda path: write_tar(path, FILES, "w:gz"),
    "t.tgz": lambda path: write_tar(path, FILES, "w:gz"),
    "t.tar.bz2": lambda path: write_tar(path, FILES, "w:bz2"),
    "t.tar.xz": lambda path: write_tar(path, FILES, "w:xz"),
    "t.zip": lambda path: write_zip(path, FILES),
}


def read_all(path: Path) -> dict[str, bytes]:
    """Name -> bytes of every member."""
    return {
        member.name: ImageRef(path, member.name, member.offset, member.size_bytes).read()
        for member in scan_archive(path).members
    }


@pytest.mark.parametrize("name", sorted(KINDS))
def test_members_are_read_back_byte_for_byte(tmp_path: Path, name: str) -> None:
    """Every kind of archive hands out exactly what was put in, in any order of reading."""
    path = KINDS[name](tmp_path / name)
    members = {m.name: m for m in scan_archive(path).members}
    assert sorted(members) == sorted(FILES)
    for key in sorted(FILES, reverse=True):
        member = members[key]
        ref = ImageRef(path, member.name, member.offset, member.size_bytes)
        assert ref.read() == FILES[key]
        assert FILES[key].startswith(ref.head())


def test_nothing_is_written_beside_or_from_an_archive(tmp_path: Path) -> None:
    """Absolute and climbing names inside an archive create no file anywhere."""
    files = {f"{tmp_path}/out/{name}": data for name, data in FILES.items()}
    path = write_tar(tmp_path / "t.tar", {**files, "../up/cat/1.png": FILES["cat/1.png"]})
    assert len(read_task(path).train) == len(FILES) - 4
    assert [p.name for p in tmp_path.iterdir()] == ["t.tar"]


def test_a_tar_member_costs_one_seek_not_a_scan(tmp_path: Path) -> None:
    """A range is read from the middle of a tar whose headers are gone."""
    path = KINDS["t.tar"](tmp_path / "t.tar")
    last = scan_archive(path).members[-1]
    assert last.offset is not None
    with path.open("r+b") as file:
        file.write(bytes(tarfile.BLOCKSIZE))
    assert read_tar_range(path, last.offset, last.size_bytes) == FILES[last.name]


def test_hard_links_inside_a_tar_are_the_file_they_point_to(tmp_path: Path) -> None:
    """The tar program stores equal files once; symbolic links and devices are left out."""
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("cat/1.png")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
        for kind, name in (
            (tarfile.LNKTYPE, "hard"),
            (tarfile.SYMTYPE, "soft"),
            (tarfile.CHRTYPE, "dev"),
        ):
            info = tarfile.TarInfo(f"cat/{name}.png")
            info.type, info.linkname = kind, "cat/1.png"
            tar.addfile(info)
    members = {m.name: m for m in scan_archive(path).members}
    assert sorted(members) == ["cat/1.png", "cat/hard.png"]
    assert members["cat/hard.png"].offset == members["cat/1.png"].offset


def test_a_zip_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """The declared size is the most that is unpacked; the check sum then does not fit."""
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.png", bytes(1_000_000))
    data = path.read_bytes()
    small, true = (100).to_bytes(4, "little"), (1_000_000).to_bytes(4, "little")
    path.write_bytes(data.replace(true, small))
    with pytest.raises(DataError, match=r"expected a readable member 'cat/1\.png'"):
        ImageRef(path, "cat/1.png", None, 100).read()


def test_a_compressed_tar_may_not_unpack_without_bound(tmp_path: Path) -> None:
    """A megabyte of zeros in a few bytes is refused at a limit below it."""
    path = write_tar(tmp_path / "t.tar.gz", {"cat/1.png": bytes(1 << 20)}, "w:gz")
    with pytest.raises(DataError, match="unpacks to at most 0 MiB"):
        scan_archive(path, max_unpacked_bytes=1000)


def test_a_member_over_the_size_cap_is_refused_unread(tmp_path: Path) -> None:
    """A declared size above the cap stops the reading."""
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="at most 256 MiB"):
        ImageRef(path).read()


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.zip"])
@pytest.mark.parametrize("damage", ["empty", "text", "half", "middle"])
def test_a_damaged_archive_is_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    """Empty, foreign, cut and overwritten archives are refused, not half listed."""
    path = KINDS[name](tmp_path / name)
    data = path.read_bytes()
    half = len(data) // 2 // 512 * 512
    if name == "t.tar":  # cut inside of a member, overwrite a header
        half = scan_archive(path).members[6].offset or 0
    broken = {
        "empty": b"",
        "text": b"I am no archive\n" * 100,
        "half": data[: half + 1],
        "middle": data[: half - 512] + b"\xff" * 512 + data[half:],
    }
    path.write_bytes(broken[damage])
    with pytest.raises(DataError):
        read_all(path)


def test_a_member_behind_the_end_is_reported_as_damage(tmp_path: Path) -> None:
    """An archive that was cut after it was listed does not give short images."""
    path = KINDS["t.tar"](tmp_path / "t.tar")
    last = scan_archive(path).members[-1]
    with path.open("r+b") as file:
        file.truncate((last.offset or 0) + 5)
    with pytest.raises(DataError, match="got 5; the file is damaged"):
        ImageRef(path, last.name, last.offset, last.size_bytes).read()


def test_an_encrypted_zip_is_named_as_such(tmp_path: Path) -> None:
    """A password-protected archive gets the remedy, not a traceback."""
    path = KINDS["t.zip"](tmp_path / "t.zip")
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    with pytest.raises(DataError, match="without a password"):
        read_task(path)
