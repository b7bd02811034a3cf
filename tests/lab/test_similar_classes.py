"""Fig. 14 and Table 1 in studies: heads that start from rows of similar old classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from teachmesh.errors import DataError
from teachmesh.model.head import Head
from teachmesh.model.head_training import HeadStart, fit_head
from teachmesh_lab.studies.reuse_head_tables import copied_tables
from teachmesh_lab.studies.reuse_heads import copied_rows
from teachmesh_lab.studies.reuse_tasks import accuracy
from teachmesh_lab.studies.similar_classes import (
    EPOCHS,
    LISTED,
    STARTS,
    ClassPair,
    measure_starts,
    read_experiments,
    similar,
    similar_tables,
)
from teachmesh_lab.studies.study_cells import StudyResult
from tests.lab.pacs_tasks import ANIMALS, pacs_tasks, plan_of

PAIRS = [
    ClassPair("pacs_photo", "dog", "pacs_art", "dog"),
    ClassPair("pacs_photo", "giraffe", "pacs_art", "giraffe"),
]


def test_copied_rows_decide_before_the_first_epoch() -> None:
    """At epoch 0 the accuracy is that of the old rows; a random start needs some epochs."""
    tasks = pacs_tasks()
    values = measure_starts(tasks, PAIRS, shots=3, seeds=2)
    assert {key: np.shape(values[key]) for key in STARTS} == dict.fromkeys(STARTS, (2, EPOCHS + 1))
    old, images = tasks["pacs_art"].head, tasks["pacs_photo"].test
    rows = np.flatnonzero(images.labels != ANIMALS.index("elephant"))
    head = Head(old.weight[[0, 2]], old.bias[[0, 2]])
    right = head.logits(images.latents.last[rows]).argmax(1) == images.labels[rows] // 2
    assert [curve[0] for curve in values["copied"]] == [pytest.approx(right.mean())] * 2
    assert right.mean() > 0.9
    assert np.mean(values["random"], axis=0)[0] < 0.9
    assert np.mean(values["ours"], axis=0)[0] > 0.9


def test_a_class_that_a_task_lacks_is_one_sentence() -> None:
    """The message names the task."""
    pairs = [ClassPair("pacs_photo", "cat", "pacs_art", "dog"), PAIRS[1]]
    with pytest.raises(DataError, match="a class of 'pacs_photo', got 'cat'"):
        measure_starts(pacs_tasks(), pairs, shots=3, seeds=1)


def test_experiments_are_read_and_need_all_their_tasks(tmp_path: Path) -> None:
    """Two of five pairs each, from three or more old tasks, as in the paper; or those of a file."""
    listed = read_experiments(LISTED)
    assert [len(pairs) for pairs in listed.values()] == [5, 5]
    assert all(len({pair.old_task for pair in pairs}) >= 2 for pairs in listed.values())
    assert all(len({pair.new_task for pair in pairs}) == 1 for pairs in listed.values())
    plan = plan_of(pacs_tasks())
    assert similar(plan).cells == []
    file = tmp_path / "pairs.csv"
    file.write_text(
        "experiment,new,old\nmine,pacs_photo:dog,pacs_art:dog\nmine,pacs_photo:giraffe,cifar10:frog\n"
    )
    study = similar(type(plan)(plan.inputs, plan.tasks, 1, (3,), "auto", file))
    (cell,) = study.cells
    text = "".join(similar_tables([StudyResult(cell, study.measure(cell), {})]))
    assert "| mine | 60 | 3 | old rows, copied (the paper) |" in text
    file.write_text("experiment,new\nmine,pacs_photo:dog\n")
    with pytest.raises(DataError, match="the columns experiment, new and old"):
        read_experiments(file)


def test_table_1_has_the_papers_way_and_ours() -> None:
    """Copied: the head that is trained from the old rows of the same names, with no trial."""
    plan = plan_of(pacs_tasks())
    study = copied_rows(plan)
    pairs = [(cell.arguments["new"], cell.arguments["old"]) for cell in study.cells]
    assert set(pairs) == {("pacs_photo", "pacs_art"), ("pacs_art", "pacs_photo")}
    cell = study.cells[pairs.index(("pacs_photo", "pacs_art"))]
    values = study.measure(cell)
    new, old = plan.tasks["pacs_photo"], plan.tasks["pacs_art"].head
    shots = new.shots(3, 0)
    x, y = shots.latents.last, shots.labels
    start = HeadStart(np.arange(3), old.weight, old.bias)
    fitted = fit_head(x, y, x[:0], y[:0], 3, seed=0, start=start)
    assert values["copied"] == [accuracy(fitted.head, new.test)]
    plain = fit_head(x, y, x[:0], y[:0], 3, seed=0)
    assert values["random"] == [accuracy(plain.head, new.test)]
    text = "".join(copied_tables([StudyResult(cell, values, {})]))
    assert "| pacs_photo, pacs_art | old rows, copied (the paper) |" in text
    assert text.count("| mean of 1 pairs |") == 3
