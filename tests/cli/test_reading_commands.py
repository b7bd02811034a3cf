"""Commands that only read create nothing, and work on a disk that cannot be written."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from teachmesh.agent.known_skills.bank_view import BankView
from tests.cli.test_commands import run, run_json

READING = {
    "status": 0,
    "skills list": 0,
    "skills show x": 4,
    "skills history x": 4,
    "skills restore x": 4,
    "skills export x": 4,
    "predict nothing.png": 4,
    "match nothing --by text": 4,
    "backbone list": 0,
    "backbone show embedded": 0,
    "backbone export x": 5,
    "doctor": 0,
    "check": 0,
}


@pytest.mark.parametrize("command", READING)
def test_a_mistyped_home_is_not_created(command: str, tmp_path: Path) -> None:
    """Neither a missing folder nor a folder of something else is changed."""
    other = tmp_path / "photos"
    other.mkdir()
    for home in (tmp_path / "typo", other):
        run(*command.split(), "--home", str(home), code=READING[command])
    assert sorted(tmp_path.rglob("*")) == [other]
    assert run_json("status", "--home", str(other))["id"] is None


def contents(home: Path) -> dict[Path, bytes]:
    """Return the bytes of all files, without those by which SQLite lets readers in.

    SQLite writes them only where the disk allows it, and this disk does.
    """
    files = (path for path in home.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if path.suffix[-4:] not in ("-wal", "-shm")}


@pytest.mark.usefixtures("warm_is_known")
def test_a_read_only_home_lists_and_predicts(
    warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are those of the writable home; not a file changes."""
    home = tmp_path / "default-home"
    image = str(sorted((warm / "red").iterdir())[0])
    commands = (["status"], ["skills", "list"], ["predict", image])
    expected = [run_json(*command, "--home", str(home)) for command in commands]
    gc.collect()  # an index that is still open for writing changes its file when it closes
    before = contents(home)
    monkeypatch.setattr(os, "access", lambda _path, mode: mode == os.R_OK)
    assert BankView(home, reading=True).bank.read_only
    assert [run_json(*command, "--home", str(home)) for command in commands] == expected
    assert contents(home) == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("link.png", "expected an image or a folder, found a link to nothing at '{}'; "),
        ("empty.png", "expected an image, got an empty file in '{}'; copy it again"),
        ("empty.pgn", "expected an image or a folder, found nothing at '{}'; did you mean"),
    ],
)
@pytest.mark.usefixtures("warm_is_known")
def test_an_image_that_cannot_be_read_is_named_once(
    warm: Path, name: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy fits the fault, and no name is suggested for itself."""
    monkeypatch.chdir(warm)
    Path("link.png").symlink_to("nothing")
    Path("empty.png").touch()
    said = run("predict", name, code=4).stderr
    assert said.count(name) == 1
    assert sentence.format(name) in said
