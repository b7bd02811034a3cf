"""One day on a shop floor with two boxes: learn, share, correct, add a class, withdraw.

    python examples/shop_floor.py              # needs no data and no other computer

Everything happens in a temporary folder, with drawn parts instead of photos. Each command is shown
as a person would type it, with its output. The script checks each result and ends with code 1 at
the first one that is not as expected.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96
WAIT_S = 100
"""Longest time for news to reach the other box."""


def draw_part(kind: str, seed: int) -> Image.Image:
    """Draw a bolt, a nut or a washer on a grey table, with its own place, size and light."""
    rng = np.random.default_rng(seed)
    table = rng.normal(150, 12, (SIDE, SIDE, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
    image = Image.fromarray(table)
    pen = ImageDraw.Draw(image)
    x, y = rng.integers(38, 58, size=2).tolist()
    r = int(rng.integers(16, 26))
    metal = tuple(int(v) for v in rng.integers(30, 70, size=3))
    hole = tuple(int(v) for v in table[y, x])
    if kind == "bolt":
        pen.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=metal)
        pen.rectangle((x - r - 8, y - r // 2 - 4, x - r + 4, y + r // 2 + 4), fill=metal)
    elif kind == "nut":
        pen.regular_polygon((x, y, r), 6, rotation=int(rng.integers(60)), fill=metal)
        pen.ellipse((x - r // 3, y - r // 3, x + r // 3, y + r // 3), fill=hole)
    else:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=metal)
        pen.ellipse((x - r // 2 - 4, y - r // 2 - 4, x + r // 2 + 4, y + r // 2 + 4), fill=hole)
    return image


def take_photos(folder: Path, kind: str, first: int, number: int) -> None:
    """Save photos of one kind of part into a folder of that name."""
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + number):
        draw_part(kind, seed).save(folder / kind / f"{seed}.png")


class Box:
    """A computer of the shop floor with its own agent.

    Args:
        name: name of the box.
        place: folder of photos and homes.
    """

    def __init__(self, name: str, place: Path) -> None:
        self.name, self.place = name, place
        self.env = os.environ | {"TEACHMESH_HOME": str(place / name)}

    def run(self, line: str) -> str:
        """Run a command as a person would type it, show it, and return its output."""
        print(f"\n{self.name}$ teachmesh {line}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "teachmesh", *shlex.split(line)],
            env=self.env,
            cwd=self.place,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if "--json" not in line:
            print(done.stdout, end="", flush=True)
        check(done.returncode == 0, f"exit code 0, got {done.returncode}")
        return done.stdout

    def answer(self, photo: str) -> str:
        """Return the answer for one photo: TASK/CLASS, or unknown."""
        answer = json.loads(self.run(f"predict {photo} --json"))["predictions"][0]
        text = "unknown" if answer["unknown"] else f"{answer['task']}/{answer['class']}"
        print(f"{photo}: {text}")
        return text

    @contextmanager
    def up(self, options: str) -> Iterator[None]:
        """Share skills within the block."""
        print(f"\n{self.name}$ teachmesh up {options} &", flush=True)
        command = [sys.executable, "-m", "teachmesh", "up", "--json", *shlex.split(options)]
        with (self.place / f"{self.name}.events").open("w") as events:
            process = subprocess.Popen(command, env=self.env, cwd=self.place, stdout=events)
            try:
                yield
            finally:
                process.terminate()
                process.wait(100)

    def active(self) -> list[str]:
        """Return the ids of the active skills."""
        done = subprocess.run(
            [sys.executable, "-m", "teachmesh", "skills", "list", "--json"],
            env=self.env,
            stdout=subprocess.PIPE,
            check=True,
        )
        return sorted(skill["id"] for skill in json.loads(done.stdout)["skills"])


def check(condition: bool, expected: str) -> None:
    """End the script with one sentence if something is not as expected."""
    if not condition:
        sys.exit(f"expected {expected}")


def wait_for(alice: Box, bob: Box) -> None:
    """Wait until both boxes have the same active skills."""
    end = time.monotonic() + WAIT_S
    while (both := [alice.active(), bob.active()])[0] != both[1]:
        check(time.monotonic() < end, f"equal skills within {WAIT_S} s, got {both}")
        time.sleep(0.2)
    print(f"\nboth boxes have the same skills: {len(both[0])}")


def free_port() -> int:
    """Return a port of this computer that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def day(place: Path) -> None:
    """Go through the day."""
    for kind in ("bolt", "nut"):
        take_photos(place / "parts", kind, first=0, number=24)
        take_photos(place / "new", kind, first=500, number=3)
    take_photos(place / "more", "washer", first=0, number=24)
    take_photos(place / "new", "washer", first=500, number=3)
    for number in range(2):  # somebody dropped nuts into the wrong box
        (place / f"parts/nut/{number}.png").rename(place / f"parts/bolt/nut{number}.png")

    alice, bob = Box("alice", place), Box("bob", place)
    alice.run("learn parts")
    address = f"tcp/127.0.0.1:{free_port()}"
    with alice.up(f"--listen {address}"), bob.up(f"--join {address}"):
        wait_for(alice, bob)
        check(bob.answer("new/bolt/500.png") == "parts/bolt", "a bolt")

        alice.run("predict parts/bolt --doubtful 2")
        for number in range(2):
            alice.run(f"correct parts/bolt/nut{number}.png --task parts --class nut")
        wait_for(alice, bob)
        check(bob.answer("parts/bolt/nut0.png") == "parts/nut", "a nut, after the correction")

        check(bob.answer("new/washer/500.png") != "parts/washer", "a class that nobody knows")
        alice.run("learn more --add-to parts")
        wait_for(alice, bob)
        check(bob.answer("new/washer/500.png") == "parts/washer", "a washer, after it was added")
        alice.run("skills history parts")

        alice.run("skills withdraw parts --yes")
        wait_for(alice, bob)
        check(bob.active() == [], "no skill on either box")
    print("\nlearned, shared, corrected, grown and withdrawn, on both boxes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        day(Path(folder))
