"""`bench tasks` writes built-in tasks for people: the images of the built-in stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from teachmesh.data.tasks import read_task
from teachmesh.errors import UsageError
from teachmesh_lab.streams.drawn_tasks import write_drawn_task
from teachmesh_lab.streams.written_tasks import write_tasks
from tests.cli.test_commands import run, run_json


def test_the_command_writes_the_images_of_the_stream(tmp_path: Path) -> None:
    """Each file has the bytes that the stream has; the task can be read with its splits."""
    document = run_json("bench", "tasks", str(tmp_path / "photos"), "--only", "bars")
    assert document["tasks"] == [str(tmp_path / "photos" / "bars")]
    stream = write_drawn_task(tmp_path / "stream", "bars")
    files = {path.relative_to(stream): path for path in stream.rglob("*.png")}
    assert files
    for name, path in files.items():
        assert (tmp_path / "photos" / "bars" / name).read_bytes() == path.read_bytes()
    assert read_task(tmp_path / "photos" / "bars").classes == read_task(stream).classes


def test_nothing_is_written_if_a_name_is_wrong_or_taken(tmp_path: Path) -> None:
    """Names are checked before the first image."""
    (tmp_path / "hues").mkdir()
    with pytest.raises(UsageError, match="got 'hue'"):
        write_tasks(tmp_path, ["bars", "hue"])
    with pytest.raises(UsageError, match="choose another folder"):
        write_tasks(tmp_path, ["bars", "hues"])
    assert [path.name for path in tmp_path.iterdir()] == ["hues"]
    run("bench", "tasks", str(tmp_path), "--only", "hue", code=2)
