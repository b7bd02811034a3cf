"""The nine built-in tasks of the demo pass the screening in every order of arrival.

`nine_demo_tasks.npz` has their class moments with the embedded backbone, and the kept validation
images of the smallest tasks: 8 per class. `demo_tasks.write_demo_tasks(folder, seed=0)` writes the
images, and `drill.honest_tasks` learns them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from teachmesh.mapping.anchor_kinds import MomentsAnchor
from teachmesh.mapping.quantise import dequantise_rows
from teachmesh.packet.signing import VerifiedSkill
from tests.screening.drawn_tasks_bank import DrawnBank, skill_of

FILE = Path(__file__).with_name("nine_demo_tasks.npz")


@cache
def arrays() -> dict[str, np.ndarray]:
    """Read the file once."""
    with np.load(FILE) as file:
        return dict(file)


@cache
def demo_skills() -> dict[str, VerifiedSkill]:
    """Return the nine skills by task, each by another author."""
    found = arrays()
    names = sorted({key.split(".")[0] for key in found})
    parts = ("means", "mean_scales", "directions", "variances", "rest", "degrees")
    anchors = {}
    for name in names:
        moments = {part: found[f"{name}.{part}"] for part in parts}
        count = len(moments["means"])
        head = {"head": moments["means"], "head_scales": moments["mean_scales"]}
        anchors[name] = MomentsAnchor(**moments, **head, head_bias=np.zeros(count, np.float32))
    return {name: skill_of(name, anchor, name) for name, anchor in anchors.items()}


def kept(name: str, count: int) -> np.ndarray:
    """Return this many kept validation images of a task, spread over its classes."""
    points = dequantise_rows(arrays()[f"{name}.kept"], arrays()[f"{name}.kept_scales"])
    return points[:: len(points) // count]


@pytest.mark.parametrize(
    ("seed", "own", "count"), [(0, "grey", 16), (1, "grey", 8), (2, "print", 8)]
)
def test_no_demo_task_is_quarantined_in_any_order_of_arrival(
    seed: int, own: str, count: int
) -> None:
    """Each is screened when it comes, also against kept images of a small own task.

    Similar photographs may take 6 of 16 images by chance, which is no attack.
    """
    skills = demo_skills()
    assert len(skills) == 9
    bank = DrawnBank(own=own, dim=1024)
    bank.kept = kept(own, count)
    assert len(bank.kept) == count
    order = np.random.default_rng(seed).permutation(list(skills)).tolist()
    bank.put(*(skills[name] for name in order))
    assert bank.codes() == dict.fromkeys(order, "")
