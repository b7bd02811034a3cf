"""Origin of a result: date, command, machine and versions, as pages and `env.json` name them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from teachmesh.version import __version__

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
    """
    words = sys.argv[1:] if arguments is None else arguments
    shown = [Path(word).name if os.sep in word and "://" not in word else word for word in words]
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
