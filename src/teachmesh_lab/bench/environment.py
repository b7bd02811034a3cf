"""What a run was computed with: machine and versions, nothing that names a person or a host."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from teachmesh.version import __version__

_PACKAGES = (
    "torch", "numpy", "pillow", "safetensors", "eclipse-zenoh", "timm", "matplotlib", "ray",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """The document of `env.json`."""
    return {
        "schema": "teachmesh.bench-env/1",
        "teachmesh": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a kernel's file
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
