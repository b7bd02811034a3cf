"""Check on real tasks that a task that grew equals one that was learned at once.

    python -m benchmarks.grow_tasks ../shared/tasks brain_tumor_mri mnist
    python -m benchmarks.grow_tasks ../shared/tasks brain_tumor_mri mnist --parts

About 60 % of a task's images are learned first, without its last class. The others are added with
`--add-to`. With `--parts`, two further agents learn them as parts of the first agent's task.
Another agent learns all images at once. Their skills are compared: every tensor, and the card but
for time, version and author. Each task is tried with its own splits, and as one folder per class.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from teachmesh.agent import Agent
from teachmesh.agent.teaching.shared_tasks import publish

_OWN = ("created", "cost_s", "version", "replaces", "author", "alias")
"""Keys of a card that differ between any two agents or versions."""


def content(agent: Agent, task: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the card of an agent's skill without its own keys, and the bytes of all tensors."""
    skill = agent.bank.load(agent.find(task).id).skill
    card = {key: value for key, value in skill.card.to_json().items() if key not in _OWN}
    return card, {name: array.tobytes() for name, array in skill.tensors.items()}


def share_out(
    source: Path, folder: Path, task: str, *, flat: bool, later: tuple[str, ...] = ("later",)
) -> None:
    """Copy a task to `folder`/all, and in parts to `folder`/first and the folders named `later`."""
    draw = random.Random(task)
    late = sorted(path.name for path in (source / "train").iterdir())[-1]
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        split, name = file.relative_to(source).parts[:2]
        part = draw.choice(later) if name == late or draw.random() < 0.4 else "first"
        place = Path(name, f"{split}-{file.name}") if flat else file.relative_to(source)
        for parent in ("all", part):
            target = folder / parent / task / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def is_equal(source: Path, folder: Path, task: str, *, flat: bool) -> bool:
    """Return whether the task that grew equals the one that was learned at once."""
    share_out(source, folder, task, flat=flat)
    grown, whole = Agent(folder / "grown"), Agent(folder / "whole")
    grown.learn(folder / "first" / task)
    grown.learn(folder / "later" / task, add_to=task)
    whole.learn(folder / "all" / task)
    return content(grown, task) == content(whole, task)


def is_equal_in_parts(source: Path, folder: Path, task: str, *, flat: bool) -> bool:
    """Return whether a task of three agents equals the one that was learned at once."""
    later = ("second", "third")
    share_out(source, folder, task, flat=flat, later=later)
    owner, whole = Agent(folder / "owner"), Agent(folder / "whole")
    skill = owner.learn(folder / "first" / task).skill_id
    members = [Agent(folder / f"agent {name}") for name in later]
    owner.invite_to_task(task, [member.key.public_key for member in members])
    (roster,) = owner.bank.parts.rosters()
    for member, name in zip(members, later, strict=True):
        member.receive(owner.read(skill))
        member.bank.parts.add_roster(roster)
        for part_id in member.learn(folder / name / task, part_of=task).parts:
            part = member.bank.parts.load(part_id)
            assert part is not None
            owner.bank.parts.add(part)
    started_s = time.perf_counter()
    publish(owner)
    took_s = time.perf_counter() - started_s
    sizes = ", ".join(f"{part.size_bytes / 1e6:.1f}" for part in owner.parts(task))
    print(f"{task}: parts of {sizes} MB, joined and fitted in {took_s:.1f} s")
    whole.learn(folder / "all" / task)
    return content(owner, task) == content(whole, task)


def main() -> int:
    """Check the tasks of the command line; return 1 if one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tasks", type=Path, help="folder with one .tar per task")
    parser.add_argument("names", nargs="+", help="tasks with folders train, val and test")
    parser.add_argument("--parts", action="store_true", help="learn the others as parts")
    given = parser.parse_args()
    check = is_equal_in_parts if given.parts else is_equal
    differing = 0
    for name in given.names:
        for flat in (False, True):
            with (
                tempfile.TemporaryDirectory() as place,
                tarfile.open(given.tasks / f"{name}.tar") as archive,
            ):
                archive.extractall(Path(place, "source"), filter="data")
                train = next(Path(place, "source").rglob("train"))
                equal = check(train.parent, Path(place), name, flat=flat)
            differing += not equal
            print(
                name,
                "one folder per class" if flat else "own splits",
                "equal" if equal else "DIFFERENT",
            )
    return int(differing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
