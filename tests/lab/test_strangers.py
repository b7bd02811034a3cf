"""Studies of strangers: hidden tasks, probabilities, copied skills; and banks of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from teachmesh.cli.main import app
from teachmesh.data.tasks import Split, Task
from teachmesh.mapping.metric import Metric
from teachmesh.mapping.moments import MomentsMapper
from teachmesh.model.backbone import Latents
from teachmesh.model.embedding import LabelledLatents
from teachmesh_lab.bench.bank_scale import CLASSES, RANK, SyntheticSkills
from teachmesh_lab.studies import unknown_images
from teachmesh_lab.studies.copied_skills import (
    COPIES,
    HonestBank,
    copies_table,
    measure_attacks,
)
from teachmesh_lab.studies.reuse_tasks import StudyTask
from teachmesh_lab.studies.study_cells import StudyCell, StudyResult
from teachmesh_lab.studies.unknown_images import (
    LearnedTasks,
    area_under_curve,
    calibration_error,
    calibration_table,
    measure_calibration,
    measure_unknown,
    unknown_tables,
)

DIM, N_TASKS = 24, 13
METRIC = Metric.identity(DIM)


def images(task: int, seed: int, per_class: int = 15) -> LabelledLatents:
    """Images of a task with three classes, far from those of other tasks."""
    centres = 4 * np.random.default_rng([0, task]).standard_normal((3, DIM))
    labels = np.repeat(np.arange(3), per_class)
    noise = np.random.default_rng([1, task, seed]).standard_normal((len(labels), DIM))
    latents = (centres[labels] + noise).astype(np.float32)
    return LabelledLatents(Latents(latents[:, :4], latents), labels)


@pytest.fixture(scope="module")
def learned() -> LearnedTasks:
    """Thirteen tasks, so that three are known if ten are hidden."""
    train = [images(task, 0) for task in range(N_TASKS)]
    return LearnedTasks.fit(train, [images(task, 1) for task in range(N_TASKS)], METRIC)


def test_area_under_curve_equals_all_pairs() -> None:
    """Ties count half."""
    random = np.random.default_rng(0)
    known, unknown = random.integers(0, 6, 40), random.integers(-2, 4, 30)
    pairs = np.sign(known[:, None] - unknown[None]) / 2 + 0.5
    assert area_under_curve(known * 1.0, unknown * 1.0) == pytest.approx(pairs.mean())


def test_calibration_error_equals_a_loop_over_bins() -> None:
    """Weighted images, bins without an image."""
    random = np.random.default_rng(1)
    confidence, weights = random.uniform(0.3, 1, 200), random.uniform(1, 2, 200)
    right = random.uniform(size=200) < confidence**2
    error = 0.0
    for lower in np.arange(15) / 15:
        rows = (confidence >= lower) & (confidence < lower + 1 / 15)
        if rows.any():
            error += abs(weights[rows] @ (right[rows] - confidence[rows])) / weights.sum()
    assert calibration_error(confidence, right, weights) == pytest.approx(error)


def test_images_of_hidden_tasks_are_told_from_known_ones(
    learned: LearnedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that are far apart are separated, and the false alarms are near the promise."""
    monkeypatch.setattr(unknown_images, "DRAWS", {2: 6, 4: 6, 10: 6})
    values = measure_unknown(learned)["known"]
    assert set(values) == {"2", "4", "10", "3"}
    for found in values.values():
        assert found["auroc"] > 0.97
        assert found["caught"] > 0.8
        assert found["false_alarms"] < 0.12


def test_ten_tasks_are_hidden_in_turn() -> None:
    """Every task is hidden at least once."""
    draws = unknown_images._draws(36, 26)
    assert {len(known) for known in draws} == {26}
    assert set().union(*(set(range(36)) - set(known) for known in draws)) == set(range(36))


def test_probabilities_of_separated_tasks_are_calibrated(learned: LearnedTasks) -> None:
    """The classes are far apart, so that every answer is right and sure."""
    values = measure_calibration(learned)
    assert values["accuracy_given"] == 1.0
    assert values["given"] < 0.15
    assert values["answered"] < 0.15


def test_copies_get_their_share_and_nobody_else_loses() -> None:
    """A copy gets about half, eight copies 8/9; other tasks keep every image."""
    tasks = [study_task(task) for task in range(4)]
    found = measure_attacks(HonestBank.of(tasks), 1)["attacks"]
    assert found["nothing"] == {"attacked": 1.0, "others": 1.0}
    assert 0.25 < found["an exact copy whose id sorts first"]["attacked"] < 0.75
    assert found[f"{COPIES} exact copies"]["attacked"] < 0.35
    assert 0.25 < found["one-class copies of all class means"]["attacked"] < 0.75
    assert all(values["others"] == 1.0 for values in found.values())


def test_tables_show_what_was_measured(
    learned: LearnedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each table has one row per measurement below its header."""
    monkeypatch.setattr(unknown_images, "DRAWS", {2: 1, 4: 1, 10: 1})
    tasks = [study_task(task) for task in range(3)]
    values = {
        "unknown": measure_unknown(learned),
        "calibration": measure_calibration(learned),
        "copies": measure_attacks(HonestBank.of(tasks), 0),
    }
    results = [
        StudyResult(StudyCell(part, part, {"shots": 0}, "", ""), {"schema": "x", **found}, {})
        for part, found in values.items()
    ]
    tables = (unknown_tables, calibration_table, copies_table)
    rows = [len(next(make(results)).splitlines()) - 2 for make in tables]
    assert rows == [4, 1, 6]


def study_task(number: int) -> StudyTask:
    """A task of the studies with the images of this module."""
    empty = Split((), np.zeros(0, dtype=np.int64))
    task = Task(f"task {number}", ("a", "b", "c"), empty, empty, empty, "", None, (), ())
    part = images(number, 0, 40)
    return StudyTask(task, lambda *_: part, lambda: METRIC)


def test_synthetic_skills_are_found_by_their_own_points() -> None:
    """Skills and points follow from their numbers; two rounds find the right task."""
    synthetic = SyntheticSkills(64)
    first = synthetic.anchor(3)
    assert first.tensors().keys() == synthetic.anchor(3).tensors().keys()
    for name, array in first.tensors().items():
        assert array.tobytes() == synthetic.anchor(3).tensors()[name].tobytes()
    assert (first.n_classes, len(first.directions)) == (CLASSES, RANK)
    mapper = MomentsMapper(Metric.identity(64))
    for number in range(70):
        mapper.add(f"{number:03}", synthetic.anchor(number))
    latents = synthetic.points(5, 20).astype(np.float32)
    assert (mapper.score(latents).task.argmax(axis=1) == 5).mean() >= 0.9


@pytest.mark.usefixtures("forked_programs")
def test_bench_scale_measures_a_small_bank(tmp_path: Path) -> None:
    """The document has the documented keys, and plausible values."""
    home = str(tmp_path / "home")
    small = ["--tasks", "3", "--images", "8", "--home", home, "--json"]
    result = CliRunner().invoke(app, ["bench", "scale", *small])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    measured = {"map_over_backbone", "start_s", "first_start_s", "rss_bytes", "add_ms"}
    assert set(document) == {"schema", "tasks", "classes"} | measured
    assert (document["schema"], document["tasks"]) == ("teachmesh.scale/1", 3)
    assert document["classes"] == 3 * CLASSES
    assert min(document[name] for name in measured) > 0
    assert document["rss_bytes"] > 50e6
