"""Compare skills and bench cells of two checkouts, to check that a code change alters no number.

    python -m checks.same_results OLD_CHECKOUT --old-package NAME
    python -m checks.same_results --runs OLD_RUN NEW_RUN --old-package NAME

The first form learns the same tasks with both checkouts, each in its own virtual environment, and
compares tensors and cards. The second form compares the cells of two runs of one grid. Only times,
the package's name and the hashes that depend on this name (fingerprints, ids) may differ.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TASKS = ("glyphs_straight", "counting_discs", "shapes_filled", "counting_bars", "shapes_outlined")
FEW = ("counting_bars", "shapes_outlined")
"""Tasks cut to `SHOTS` training images per class; reuse is not tried with many images."""
SHOTS = 5
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("moments", {}),
    ("gmmc", {"method": "gmmc"}),
    ("maha", {"method": "maha", "also": ["moments"]}),
    ("biases", {"method": "moments+bb"}),
    ("reuse", {"reuse": "text", "encoder": "names"}),
    ("head-reuse", {"method": "maha", "reuse": "auto", "encoder": "names"}),
)
VOLATILE = ("created", "cost_s")
"""JSON keys whose values depend on the clock."""
HASHED = ("backbone_fingerprint", "fingerprint", "reference_id", "skill", "key")
"""JSON keys whose values are hashes of bytes that contain the package's name."""
LEARNER = """
import json, sys
from importlib import import_module
package, home, tasks, out, variants = sys.argv[1:]
Agent = import_module(package).Agent
for label, options in json.loads(variants):
    agent = Agent(f"{home}/{label}")
    for task in tasks.split(","):
        result = agent.learn(task, **options)
        name = f"{out}/{label}-{result.task}.safetensors"
        with open(name, "wb") as file:
            file.write(agent.read(result.skill_id))
"""


def learn_with(checkout: Path, package: str, tasks: Sequence[Path], out: Path, key: bytes) -> None:
    """Learn all tasks with all variants in a checkout's environment, and write the skills.

    Args:
        checkout: root of the checkout, with its environment in `.venv`.
        package: name of the package in the checkout.
        tasks: folders of the tasks.
        out: folder for the skills.
        key: content of the key file, the same for every home.
    """
    out.mkdir(parents=True)
    home = out / "homes"
    for label, _ in VARIANTS:
        (home / label).mkdir(parents=True)
        (home / label / "agent.key").write_bytes(key)
        (home / label / "agent.key").chmod(0o600)
    python = checkout / ".venv" / "bin" / "python"
    arguments = [package, str(home), ",".join(map(str, tasks)), str(out), json.dumps(VARIANTS)]
    subprocess.run([str(python), "-c", LEARNER, *arguments], check=True, cwd=checkout)


def keep_few(task: Path) -> None:
    """Delete all training images of a task except the first `SHOTS` images of every class."""
    for folder in (task / "train").iterdir():
        for image in sorted(folder.iterdir())[SHOTS:]:
            image.unlink()


def read_skill(path: Path, package: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the card and the tensors' bytes of a skill file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    document = json.loads(header.pop("__metadata__")[package])
    body = data[8 + length :]
    tensors = {
        f"{name} {about['dtype']} {about['shape']}": body[slice(*about["data_offsets"])]
        for name, about in header.items()
    }
    return document["card"], tensors


def stripped(value: Any, package: str) -> Any:
    """Return a JSON value without times and hashes, and with the package's name replaced."""
    if isinstance(value, dict):
        return {
            key: stripped(inner, package)
            for key, inner in value.items()
            if key not in (*VOLATILE, *HASHED)
        }
    if isinstance(value, list):
        return [stripped(inner, package) for inner in value]
    return value.replace(package, "PACKAGE") if isinstance(value, str) else value


def compare_skills(old: Path, new: Path, old_package: str) -> list[str]:
    """Print one line per skill, and return one line per skill that differs."""
    wrong = []
    names = sorted(path.name for path in new.glob("*.safetensors"))
    if names != sorted(path.name for path in old.glob("*.safetensors")):
        return ["the two checkouts made different skills"]
    for name in names:
        card_1, tensors_1 = read_skill(old / name, old_package)
        card_2, tensors_2 = read_skill(new / name, "teachmesh")
        same_card = stripped(card_1, old_package) == stripped(card_2, "teachmesh")
        size = sum(map(len, tensors_2.values()))
        verdict = "equal" if same_card and tensors_1 == tensors_2 else "DIFFERENT"
        parts = ", with biases" * ("biases.values" in " ".join(tensors_2))
        parts += ", with source skills" * bool(card_2.get("parents"))
        print(f"{name}: {len(tensors_2)} tensors, {size:,} bytes{parts}: {verdict}")
        if verdict != "equal":
            changed = [key for key in tensors_2 if tensors_1.get(key) != tensors_2[key]]
            wrong.append(f"{name}: card {'equal' if same_card else 'differs'}, tensors {changed}")
    return wrong


def compare_runs(old: Path, new: Path, old_package: str) -> list[str]:
    """Print one line per cell of two runs, and return one line per cell that differs."""
    labels = [
        {path.stem.rpartition("-")[0] for path in (run / "cells").glob("*.json")}
        for run in (old, new)
    ]
    if not labels[1]:
        return [f"expected cells in {new}, found none"]
    wrong = [f"{label}: only in one of the runs" for label in sorted(labels[0] ^ labels[1])]
    for path in sorted((new / "cells").glob("*.json")):
        stem = path.stem.rpartition("-")[0]
        others = sorted((old / "cells").glob(f"{stem}-*.json"))
        if len(others) != 1:
            wrong.append(f"{stem}: expected one cell in {old}, found {len(others)}")
            continue
        one, two = (json.loads(cell.read_text("utf-8")) for cell in (others[0], path))
        equal = stripped(one, old_package) == stripped(two, "teachmesh")
        print(f"{stem}: {'equal' if equal else 'DIFFERENT'}")
        if not equal:
            wrong.append(f"{stem}: the cells differ")
    return wrong


def compare_checkouts(old: Path, old_package: str) -> list[str]:
    """Learn with both checkouts, and return one line per skill that differs."""
    from teachmesh.bank.home import resolve_home
    from teachmesh_lab.streams.task_stream import StreamSpec, open_stream

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        home = resolve_home(scratch / "key-home")
        home.load_key()
        key = (home.path / "agent.key").read_bytes()
        tasks = open_stream(StreamSpec("builtin", only=TASKS), 0, scratch).paths
        for name in FEW:
            keep_few(next(path for path in tasks if path.name == name))
        learn_with(old, old_package, tasks, scratch / "old", key)
        learn_with(ROOT, "teachmesh", tasks, scratch / "new", key)
        return compare_skills(scratch / "old", scratch / "new", old_package)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison, and return the exit code: 0 if everything is equal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("old", type=Path, nargs="?", help="a checkout with its .venv")
    parser.add_argument("--runs", type=Path, nargs=2, metavar=("OLD_RUN", "NEW_RUN"))
    parser.add_argument("--old-package", default="teachmesh", help="its package's name")
    options = parser.parse_args(arguments)
    if options.runs:
        wrong = compare_runs(options.runs[0], options.runs[1], options.old_package)
    elif options.old:
        wrong = compare_checkouts(options.old.resolve(), options.old_package)
    else:
        parser.error("expected a checkout or --runs OLD_RUN NEW_RUN")
    print("\n".join(wrong) or "no difference")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
