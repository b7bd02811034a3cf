"""The engine of the studies: identity of cells, runs that continue, and the command line."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from teachmesh.bank.home import Home, resolve_home
from teachmesh.errors import DataError, StorageError, UsageError
from teachmesh_lab.studies.__main__ import main
from teachmesh_lab.studies.bias_studies import MIN_CLASS_IMAGES, BiasStudyPlan
from teachmesh_lab.studies.study_cells import (
    Study,
    StudyCell,
    StudyInputs,
    Values,
    read_results,
    run_study,
    select,
)
from tests.bank.processes import environment
from tests.conftest import write_task


def cell(name: str, **changes: str) -> StudyCell:
    """Make a cell of an invented study."""
    arguments = {"new": name, "seeds": 2}
    return dataclasses.replace(
        StudyCell("few", f"few/{name}", arguments, "tasks", "backbone"), **changes
    )


def measured_names(out: Path, cells: Sequence[StudyCell]) -> list[str]:
    """Run a study; return the labels of the cells that it measured."""
    found = []

    def measure(cell: StudyCell) -> Values:
        found.append(cell.label)
        return {"value": len(found)}

    run_study(out, Study(cells, measure), lambda _sentence: None)
    return found


def test_a_measured_cell_is_not_measured_again(tmp_path: Path) -> None:
    """A longer list of cells needs only the new ones."""
    assert measured_names(tmp_path, [cell("a")]) == ["few/a"]
    assert measured_names(tmp_path, [cell("a"), cell("b")]) == ["few/b"]
    assert measured_names(tmp_path, [cell("a"), cell("b")]) == []


def test_a_failed_measurement_leaves_the_cells_before_it(tmp_path: Path) -> None:
    """The lock is free again, and the next run measures the failed cell."""

    def fail(cell: StudyCell) -> Values:
        if cell.label == "few/b":
            raise RuntimeError
        return {}

    cells = [cell("a"), cell("b")]
    with pytest.raises(RuntimeError):
        run_study(tmp_path, Study(cells, fail), lambda _sentence: None)
    assert [result.cell for result in read_results(tmp_path)] == [cell("a")]
    assert measured_names(tmp_path, cells) == ["few/b"]


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"new": "a", "seeds": 3}},
        {"tasks_digest": "other tasks"},
        {"fingerprint": "other backbone"},
    ],
)
def test_a_cell_with_another_identity_is_measured_again(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    """The tables show the last run; the earlier cell is found again when the change is undone."""
    measured_names(tmp_path, [cell("a")])
    changed = cell("a", **changes)
    assert measured_names(tmp_path, [changed]) == ["few/a"]
    assert [result.cell for result in read_results(tmp_path)] == [changed]
    assert measured_names(tmp_path, [cell("a")]) == []
    assert [result.cell for result in read_results(tmp_path)] == [cell("a")]


def test_cells_of_two_backbones_are_never_shown_together(tmp_path: Path) -> None:
    """The tables show the backbone of the last run."""
    measured_names(tmp_path, [cell("a"), cell("b")])
    other = cell("a", fingerprint="other backbone")
    measured_names(tmp_path, [other])
    assert [result.cell for result in read_results(tmp_path)] == [other]


def test_results_are_selected_by_their_arguments(tmp_path: Path) -> None:
    """The part must be equal, and every given argument."""
    measured_names(tmp_path, [cell("a"), cell("b"), cell("c", part="heads")])
    results = read_results(tmp_path)
    assert [r.cell.label for r in select(results, "few", seeds=2)] == ["few/a", "few/b"]
    assert [r.cell.label for r in select(results, "few", new="b", seeds=2)] == ["few/b"]
    assert select(results, "few", seeds=3) == []


def test_a_damaged_index_is_reported(tmp_path: Path) -> None:
    """The message names the file, and what to do."""
    (tmp_path / "index.json").write_text('{"schema": "other"}')
    with pytest.raises(StorageError, match="expected an index of schema .* remove the file"):
        read_results(tmp_path)


def test_long_and_strange_labels_make_safe_file_names() -> None:
    """Separators and quotes are replaced, and the length is limited."""
    name = cell("a", label="trials/`8, rates`/" + "é" * 200).name
    assert name.startswith("trials-8-rates-éé")
    assert len(name.encode()) < 200


def test_an_image_that_changes_makes_another_cell(tmp_path: Path) -> None:
    """A cell counts only the tasks that it depends on."""
    for name in ("warm", "cold"):
        write_task(tmp_path / "tasks", name, per_class=10)
    home = resolve_home(tmp_path / "home")
    before = _two_cells(tmp_path / "tasks", home)
    image = sorted((tmp_path / "tasks" / "warm").glob("*/*.png"))[0]
    Image.new("RGB", (60, 60), "blue").save(image)
    after = _two_cells(tmp_path / "tasks", home)
    assert before["warm"] != after["warm"]
    assert before["cold"] == after["cold"]


def _two_cells(folder: Path, home: Home) -> dict[str, StudyCell]:
    inputs = StudyInputs.find(folder, home, "embedded")
    return {name: inputs.cell("norms", (name,), (name,), new=name) for name in inputs.tasks}


def test_smaller_copies_have_the_first_images_of_each_class(tmp_path: Path) -> None:
    """All test images stay, and a copy is not written twice."""
    write_task(tmp_path / "tasks", "warm", per_class=20)
    home = resolve_home(tmp_path / "home")
    inputs = StudyInputs.find(tmp_path / "tasks", home, "embedded")
    plan = BiasStudyPlan(
        inputs, home, "embedded", tmp_path / "out", train_images=15, validation_images=3
    )
    folder = plan.folder(plan.cell("biases-bytes", ("warm",)))
    copies = {
        split: len(list((folder / "warm" / split).glob("*/*.png")))
        for split in ("train", "val", "test")
    }
    warm = inputs.tasks["warm"]
    validation = np.bincount(warm.validation.labels).clip(max=MIN_CLASS_IMAGES).sum()
    assert copies == {"train": 15, "val": validation, "test": len(warm.test.images)}
    written = (folder / "warm").stat().st_mtime_ns
    assert plan.folder(plan.cell("biases-bytes", ("warm",))) == folder
    assert (folder / "warm").stat().st_mtime_ns == written


@pytest.mark.usefixtures("forked_programs")
@pytest.mark.skipif(os.name != "posix", reason="uses SIGKILL")
def test_a_killed_study_continues_and_gives_the_same_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process is killed after its first cell; the next run measures the other one."""
    for name in ("warm", "cold"):
        write_task(tmp_path / "tasks", name)
    places = "--tasks", str(tmp_path / "tasks"), "--home", str(tmp_path / "home")
    options = "heads", *places, "--backbone", "embedded", "--shots", "3", "--seeds", "2"
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "tests.killed_writer", "*/cells/*.json"]
    command += ["teachmesh_lab.studies", *options, "--out", str(killed)]
    ended = subprocess.run(command, stderr=subprocess.DEVNULL, check=False, env=environment())
    assert ended.returncode == -signal.SIGKILL
    first = {path: path.stat().st_mtime_ns for path in killed.glob("cells/*.json")}
    assert len(first) == 1

    main([*options, "--out", str(killed)])
    assert "1 of 2 cells to measure" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in first} == first
    main([*options, "--out", str(whole)])
    cells = {path.name: path.read_bytes() for path in killed.glob("cells/*.json")}
    assert cells == {path.name: path.read_bytes() for path in whole.glob("cells/*.json")}
    assert len(cells) == 2
    capsys.readouterr()
    shown = []
    for out in (killed, whole):
        main(["heads", "--out", str(out), "--show"])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].startswith("## Heads, ordered pairs")
    assert "| 3 | 2 | 2 |" in shown[0]


def test_an_option_of_another_part_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise a run would silently ignore it."""
    with pytest.raises(SystemExit):
        main(["heads", "--tasks", str(tmp_path), "--out", str(tmp_path), "--reuse", "text"])
    assert "--reuse is an option of few" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["matching", "--tasks", str(tmp_path), "--out", str(tmp_path), "--validate"])
    assert "--validate is an option of few, related, bank" in capsys.readouterr().err
    with pytest.raises(SystemExit):  # cells of other parts have no name for it
        main(["reuse", "--tasks", str(tmp_path), "--out", str(tmp_path), "--validate"])
    assert "--validate needs one part: few, related, bank" in capsys.readouterr().err


def test_an_error_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of the command `teachmesh`."""
    with pytest.raises(SystemExit) as error:
        main(["norms", "--tasks", str(tmp_path / "missing"), "--out", str(tmp_path / "out")])
    assert error.value.code == DataError.exit_code
    assert "missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "option", "wrong"),
    [
        ("biases-bank", "--choices", "auto"),
        ("biases-bank", "--methods", "moment"),
        ("biases-tasks", "--choices", "default"),
        ("biases-tasks", "--methods", "moments,gmmc"),
        ("orders", "--methods", "ncm"),
    ],
)
def test_a_name_that_a_study_cannot_measure_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, option: str, wrong: str
) -> None:
    """The message has the names that the study knows; nothing is measured."""
    task = write_task(tmp_path / "tasks", "warm")
    home, out = str(tmp_path / "home"), tmp_path / "out"
    common = ["--tasks", str(task.parent), "--names", "all", "--home", home, "--out", str(out)]
    with pytest.raises(SystemExit) as end:
        main([part, *common, option, wrong])
    assert end.value.code == UsageError.exit_code
    assert f"expected {option} among " in (error := capsys.readouterr().err)
    assert f"got '{wrong.split(',')[-1]}'" in error
    assert not out.exists()
