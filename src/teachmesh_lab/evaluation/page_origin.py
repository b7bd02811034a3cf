"""Origin of a result: date, command, machine and versions, as pages and `env.json` name them."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from teachmesh.version import __version__

_PREFIX = re.compile(r"(--[\w-]+=)?(hf:|tcp/|[\w+-]+://)?([\w-]{2,}:)?")
"""Name of an option, start of a text that is no path, and kind of a source of tasks."""
_PACKAGES = (
    "torch", "numpy", "scipy", "pillow", "safetensors", "eclipse-zenoh", "timm", "matplotlib",
    "ray",
)  # fmt: skip
_MACHINE = ("processor", "cores", "system", "machine", "python", "teachmesh")


def environment() -> dict[str, Any]:
    """Return the machine and versions, but no personal data."""
    return {
        "teachmesh": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def invocation(arguments: Sequence[str] | None = None) -> dict[str, str]:
    """Return the date (UTC) and the command line; a path is shortened to its last part.

    Args:
        arguments: arguments of the command, without the program; those of this process by default.

    Examples:
        >>> invocation(["bench", "run", "/home/ada/mine.toml"])["command"]
        'teachmesh bench run mine.toml'
        >>> invocation(["bench", "run", "mini", "--tasks=/home/ada/pets"])["command"]
        'teachmesh bench run mini --tasks=pets'
    """
    shown = map(_without_folders, sys.argv[1:] if arguments is None else arguments)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"date": now, "command": " ".join(["teachmesh", *shown])}


def origin_rows(origin: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of a table that names date, command, machine and versions.

    Args:
        origin: content of `env.json`, or `environment()` with one `invocation()`.
    """
    runs = origin.get("runs", [origin])
    rows = [["command", f"{run['command']} ({run['date']})"] for run in runs if "command" in run]
    rows += [[name, str(origin[name])] for name in _MACHINE if name in origin]
    packages = ", ".join(f"{name} {v}" for name, v in origin.get("packages", {}).items())
    return [*rows, ["packages", packages]] if packages else rows


def _without_folders(word: str) -> str:
    """Shorten the path in a word of a command line to its last part.

    Examples:
        >>> [_without_folders(w) for w in ("--out=/tmp/a", "skill-102:/data/S", "hf:user/name")]
        ['--out=a', 'skill-102:S', 'hf:user/name']
    """
    found = _PREFIX.match(word)
    assert found is not None  # every part is optional
    if found[2] or os.sep not in word:
        return word
    return found[0] + Path(word[found.end() :]).name


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
