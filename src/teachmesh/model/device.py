"""Choose a torch device by name, without silently falling back to another device."""

from __future__ import annotations

import re

import torch

from teachmesh.errors import DeviceError

_KNOWN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device for a name.

    Args:
        name: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the first available of cuda, mps, cpu.

    Raises:
        DeviceError: the name is unknown, or the device is not available on this machine.

    Examples:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if not _KNOWN.fullmatch(name):
        raise DeviceError(f"expected a device out of auto, cpu, cuda, cuda:1, mps, got {name!r}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if name.startswith("cuda") and not _has_cuda(name):
        raise DeviceError(
            f"expected the device {name!r}, this machine has {torch.cuda.device_count()} CUDA "
            "devices; use --device cpu or auto"
        )
    if name == "mps" and not _has_mps():
        raise DeviceError("expected the device 'mps', it is not available; use --device cpu")
    return torch.device(name)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _has_cuda(name: str) -> bool:
    index = int(name.partition(":")[2] or 0)
    return torch.cuda.is_available() and index < torch.cuda.device_count()
