"""Reuse on the measuring tasks: one JSON file per cell, so that a run can stop and go on.

    python -m ...studies.bench_reuse PART --tasks ../shared/tasks --home HOME --out FOLDER

PART: few (all ordered pairs, moments), nobody (both kinds of learning without any old task), prior
(all tasks that share classes), bank (all other tasks), heads (Table 1, all ordered pairs), combine
(zero images), union (Fig. 13), norms, matching. Everything was chosen on validation images; this
reads test images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from teachmesh.reuse.matching import MODES
from teachmesh_lab.studies.reuse_combine import part_combine, part_norms, part_union
from teachmesh_lab.studies.reuse_data import SHOTS, Plan, Tasks, load_tasks
from teachmesh_lab.studies.reuse_heads import part_heads
from teachmesh_lab.studies.reuse_matching import part_matching
from teachmesh_lab.studies.reuse_moments import part_bank, part_few, part_kin, part_nobody

PARTS: dict[str, Callable[[Tasks, Plan], None]] = {
    "few": part_few,
    "nobody": part_nobody,
    "prior": part_kin,
    "bank": part_bank,
    "heads": part_heads,
    "combine": part_combine,
    "union": part_union,
    "norms": part_norms,
    "matching": part_matching,
}


def main() -> None:
    """Measure one part; cells that are there already are left as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--shots", type=int, nargs="*", default=SHOTS, help="0 for all images")
    parser.add_argument("--reuse", choices=MODES, default="auto")
    options = parser.parse_args()
    if options.reuse != "auto" and options.part != "few":
        parser.error(f"--reuse is for few: {options.part} has one way of matching")
    began_s = time.perf_counter()
    tasks = load_tasks(options.tasks, options.home, options.backbone)
    plan = Plan(options.out, options.seeds, tuple(options.shots), options.reuse)
    PARTS[options.part](tasks, plan)
    print(f"{options.part}: {time.perf_counter() - began_s:.0f} s")


if __name__ == "__main__":
    main()
