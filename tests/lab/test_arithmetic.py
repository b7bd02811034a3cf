"""The recomputed arithmetic of the paper: counted constants and the table in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from teachmesh.model.macs import count_macs
from teachmesh_lab.streams.manifest import all_tasks, skill102
from teachmesh_lab.studies import paper_arithmetic as arithmetic
from tests.model.nets import needs_timm

PAGE = Path(__file__).parents[2] / "docs" / "results" / "arithmetic.md"


def test_the_page_shows_the_computed_table() -> None:
    """After a change of the arithmetic, paste the new table into the page."""
    assert arithmetic.table() in PAGE.read_text("utf-8")


@needs_timm
def test_the_constants_of_xception_are_those_of_the_network() -> None:
    """They are counted on a network without weights, on the meta device."""
    from teachmesh.model.timm_weights import ensure_torchvision

    ensure_torchvision()
    import timm

    with torch.device("meta"):
        net = timm.create_model("legacy_xception", num_classes=0).eval()
        image = torch.zeros(1, 3, 299, 299)
        with torch.no_grad():
            assert count_macs(lambda: net(image)) == arithmetic.XCEPTION_MACS
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.out_channels for m in convolutions) == arithmetic.BIASES
    assert net.num_features == arithmetic.LATENT


def test_the_manifest_has_the_papers_sums() -> None:
    """There are 102 tasks and five extras, with unique names."""
    tasks = skill102()
    assert (len(tasks), len(all_tasks())) == (102, 107)
    assert sum(task.used_classes for task in tasks) == 5_033
    assert sum(task.classes for task in tasks) == 7_059
    assert sum(task.train for task in tasks) == 2_041_219
    assert (tasks[0].train + tasks[0].validation + tasks[0].test) == 8_185
    assert len({task.name for task in all_tasks()}) == 107


@pytest.mark.parametrize(
    ("agents", "packing", "efficiency"),
    [
        (102, "longest-first", 0.370),
        (51, "longest-first", 0.741),
        (51, "given", 0.371),
        (26, "longest-first", 0.987),
        (10, "longest-first", 0.999),
        (1, "given", 1.0),
    ],
)
def test_whole_tasks_bound_the_speed_up(agents: int, packing: str, efficiency: float) -> None:
    """Expected values were computed independently from the same sizes."""
    found = arithmetic.makespan_efficiency(agents, packing)
    assert found == pytest.approx(efficiency, abs=5e-4)


def test_printed_bytes_are_reproduced_from_sizes() -> None:
    """101 skills have 8.22e7 (GMMC), 1.03e8 (with BB), 6.72e9 (MAHA, raw pixels) bytes."""
    biased = arithmetic.gmmc_bytes() + 4 * arithmetic.BIASES
    sizes = (arithmetic.gmmc_bytes(), biased, arithmetic.maha_bytes())
    for size, variant in zip(sizes, arithmetic.FIGURE_10, strict=False):
        assert 101 * size == pytest.approx(variant.bytes, rel=6e-3)


def test_efficiencies_of_figure_10_do_not_follow_from_its_columns() -> None:
    """The efficiency of MAHA is below the paper's 0.99, and all printed values are too high."""
    found = [arithmetic.efficiency_of(variant) for variant in arithmetic.FIGURE_10]
    expected = [0.99951, 0.9999933, 0.962, 0.99956, 0.99997]
    assert found == pytest.approx(expected, abs=4e-4)
    for value, variant in zip(found, arithmetic.FIGURE_10, strict=True):
        assert value < float(variant.efficiency)
