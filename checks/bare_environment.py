"""Install the wheel into a bare virtual environment and use it: learn, predict, up.

    python -m checks.bare_environment            # prints one JSON document; takes a few minutes

The environment has the packages of the core only, in the versions of `constraints.txt`. The
document has sizes in MB and the seconds of the first command, so that releases can be compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
MB = 1_000_000


def run(*command: str | Path, home: Path | None = None) -> str:
    """Run a command; return its standard output, or end with its error."""
    # Where Python may not keep bytecode, each process would compile torch again.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    if home is not None:
        env["TEACHMESH_HOME"] = str(home)
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def install(folder: Path) -> Path:
    """Build the wheel, install it into a new environment, and return its `bin` folder."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "dist", ROOT)
    venv.create(folder / "env", with_pip=True)
    bin_folder = folder / "env" / "bin"
    (wheel,) = (folder / "dist").glob("*.whl")
    constraints = ROOT / "constraints.txt"
    run(bin_folder / "python", "-m", "pip", "install", "-q", "-c", constraints, wheel)
    return bin_folder


def draw_task(folder: Path) -> Path:
    """Write a task of two classes, bright and dark, and return its folder."""
    rng = np.random.default_rng(0)
    for name, low in (("bright", 130), ("dark", 0)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(low, low + 120, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def imports(python: Path) -> dict[str, float]:
    """Import the package, and the agent with torch, in fresh processes; return seconds.

    Each import runs twice, and the second one counts: the first one writes bytecode.
    """
    seconds = {}
    for name, code in (
        ("import_s", "import teachmesh"),
        ("import_agent_s", "from teachmesh import Agent"),
    ):
        for _ in range(2):
            started_s = time.perf_counter()
            run(python, "-c", code)
            seconds[name] = round(time.perf_counter() - started_s, 2)
    return seconds


def use(teachmesh: Path, folder: Path) -> dict[str, float]:
    """Learn and answer with the installed command; return seconds."""
    home, task = folder / "home", draw_task(folder / "light")
    seconds = {}
    for name, arguments in (
        ("version_s", ["--version"]),
        ("learn_s", ["learn", str(task)]),
        ("predict_s", ["predict", str(task / "dark" / "0.png"), "--json"]),
    ):
        started_s = time.perf_counter()
        output = run(teachmesh, *arguments, home=home)
        seconds[name] = round(time.perf_counter() - started_s, 2)
    if json.loads(output)["predictions"][0]["class"] != "dark":
        sys.exit(f"expected the class 'dark', got {output}")
    return seconds


def listens(teachmesh: Path, home: Path) -> None:
    """Start `up`, wait until it listens, and stop it."""
    command = [str(teachmesh), "up", "--listen", "tcp/127.0.0.1:0"]
    env = {**os.environ, "TEACHMESH_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    env["PYTHONDONTWRITEBYTECODE"] = ""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or not any("listens on" in line for line in process.stdout):
            sys.exit("expected `up` to listen, but it ended")
        process.terminate()
        process.stdout.read()
    if process.returncode:
        sys.exit(f"expected `up` to end with code 0, got {process.returncode}")


def size_mb(folder: Path) -> float:
    """Return the size of all files below a folder, in MB."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return round(sum(path.stat().st_size for path in files) / MB, 1)


def main() -> None:
    """Install, use and measure; print one JSON document."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bin_folder = install(folder)
        teachmesh = bin_folder / "teachmesh"
        seconds = {**imports(bin_folder / "python"), **use(teachmesh, folder)}
        listens(teachmesh, folder / "home")
        (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
        sizes = {
            "wheel_mb": size_mb(folder / "dist"),
            "installed_mb": size_mb(packages),
            "torch_mb": size_mb(packages / "torch"),
        }
    print(json.dumps({"schema": "teachmesh.bare-environment/1", **sizes, **seconds}))


if __name__ == "__main__":
    main()
