"""Which device, which number type: what was asked for or an error, never another one silently."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from teachmesh.errors import DeviceError

_KNOWN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name.

    Args:
        name: `auto` (cuda, else mps, else cpu), `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        DeviceError: unknown, or not available on this machine.

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


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number type of a name.

    There is no `auto`: latents in bf16 differ by about 3e-3 from those in fp32, and agents on
    different machines shall see the same ones. So fp32 is what everybody uses, and bf16 (up to
    four times as fast where the CPU has it) is taken only by whoever asks for it.

    Args:
        name: `fp32` or `bf16`.
        device: where the network will run.

    Raises:
        DeviceError: unknown, or the device has to emulate it, which is far slower than fp32.

    Examples:
        >>> choose_dtype("fp32", torch.device("cpu"))
        torch.float32
    """
    if name not in _DTYPES:
        raise DeviceError(f"expected a number type out of {', '.join(_DTYPES)}, got {name!r}")
    if name == "bf16" and not _has_bf16(device):
        raise DeviceError(f"expected bf16, but this {device.type} has to emulate it; use fp32")
    return _DTYPES[name]


def has_fast_bf16() -> bool:
    """Whether the CPU computes in bf16 natively; emulated, it is 80 times slower than float32."""
    capability: str = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo")
    if not capability.startswith("AVX512") or not flags.exists():
        return False
    return "avx512_bf16" in flags.read_text(encoding="utf-8", errors="replace")


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and has_fast_bf16()


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _has_cuda(name: str) -> bool:
    index = int(name.partition(":")[2] or 0)
    return torch.cuda.is_available() and index < torch.cuda.device_count()
