"""Files that a report leaves in the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teachmesh_lab.bench.report_files import LIST_FILE, replace_report_files


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a first report of three files."""
    for folder in ("figures", "tables", "cells"):
        (tmp_path / folder).mkdir()
    replace_report_files(tmp_path, [write(tmp_path, name) for name in FIRST])
    return tmp_path


FIRST = ("figures/a.svg", "figures/b.png", "tables/c.tex")


def write(run: Path, name: str, text: str = "x") -> Path:
    """Write a file of the report."""
    (run / name).write_text(text)
    return run / name


def files(run: Path) -> set[str]:
    """Return the names of all files but the list."""
    found = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    return found - {LIST_FILE}


def test_files_that_a_new_report_lacks_are_removed(run: Path) -> None:
    """Files of the new report stay, and so do those that the report did not write."""
    write(run, "figures/mine.svg")
    replace_report_files(run, [write(run, "figures/a.svg", "new")])
    assert files(run) == {"figures/a.svg", "figures/mine.svg"}


def test_a_file_that_somebody_changed_is_kept(run: Path) -> None:
    """The hash of the file is no longer that of the list."""
    write(run, "figures/b.png", "by hand")
    replace_report_files(run, [])
    assert files(run) == {"figures/b.png"}


def test_a_list_of_another_machine_removes_nothing_else(run: Path) -> None:
    """Names outside the two folders, and of other kinds of files, are ignored."""
    for name in ("cells/a.svg", "figures/notes.txt", "tables/c.tex"):
        write(run, name)
    document = json.loads((run / LIST_FILE).read_text())
    digest = next(iter(document["files"].values()))
    names = ("cells/a.svg", "figures/notes.txt", "figures/../cells/a.svg", "../outside.svg")
    outside = run.parent / "outside.svg"
    outside.write_text("x")
    document["files"] = dict.fromkeys(names, digest)
    (run / LIST_FILE).write_text(json.dumps(document))
    replace_report_files(run, [])
    assert files(run) == {*FIRST, "cells/a.svg", "figures/notes.txt"}
    assert outside.exists()
    outside.unlink()
