"""Sec. 8 in studies: new classes matched by sending ten images through the task mapper."""

from __future__ import annotations

import pytest

from teachmesh_lab.studies.mapper_matching import (
    BANKS,
    SHOTS,
    mapper_matching,
    mapper_matching_tables,
    match_through,
)
from teachmesh_lab.studies.study_cells import StudyResult
from tests.lab.pacs_tasks import ANIMALS, pacs_tasks, plan_of


@pytest.mark.parametrize("way", list(BANKS))
def test_classes_of_another_style_are_found_and_other_classes_are_unknown(way: str) -> None:
    """All images of a class get one task and one class; few strangers could be of a known task."""
    tasks = pacs_tasks()
    bank = BANKS[way](tasks)
    shots = tasks["pacs_photo"].shots(SHOTS, 0)
    for name, found in zip(
        ANIMALS,
        match_through(bank, tasks, tasks["pacs_photo"], shots.labels, shots.latents),
        strict=True,
    ):
        new, old, task_share, _, class_share, relation = found
        assert (new, old) == (f"pacs_photo:{name}", f"pacs_art:{name}")
        assert (task_share, class_share, relation) == (1.0, 1.0, "same")
    shots = tasks["cifar10"].shots(SHOTS, 0)
    strangers = match_through(bank, tasks, tasks["cifar10"], shots.labels, shots.latents)
    assert max(row[3] for row in strangers) < 0.5


def test_the_table_counts_matches_against_the_list() -> None:
    """Six classes occur in two styles; all six are matched, and no wrong one is."""
    plan = plan_of(pacs_tasks())
    study = mapper_matching(plan)
    results = [StudyResult(cell, study.measure(cell), {}) for cell in study.cells]
    text = "".join(mapper_matching_tables(results))
    assert "| class means |  |  | 6.0 | 100.0 % | 100.0 % | 100.0 % |" in text
    for label in ("GMMC mapper, then its trained head (the paper)", "moments mapper"):
        rows = [line for line in text.splitlines() if line.startswith(f"| {label}")]
        assert len(rows) == 6
    # Without leaving out unknown images, the three strange classes get wrong matches.
    assert "| 50 % | no | 9.0 | 66.7 % | 66.7 % | 100.0 % |" in text
