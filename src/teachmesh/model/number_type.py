"""Choice between float32 and bfloat16 for the forward pass.

On a processor without instructions for bfloat16, torch emulates it, which was 80 times slower in
training. The flags of the processor therefore decide, and never a trial.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from teachmesh.errors import DeviceError

DTYPES = ("fp32", "bf16", "auto")
CPU_FLAGS = Path("/proc/cpuinfo")
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of x86 processors, and of ARM processors for the last one."""


class Arithmetic(NamedTuple):
    """The arithmetic of the latents: who computes them, with which numbers.

    Attributes:
        engine: library that runs the network, `torch` or `openvino`.
        dtype: number type of the forward pass, `fp32` or `bf16`.

    Examples:
        >>> Arithmetic().to_json(), Arithmetic("openvino").to_json()
        ({}, {'engine': 'openvino', 'dtype': 'fp32'})
    """

    engine: str = "torch"
    dtype: str = "fp32"

    def to_json(self) -> dict[str, str]:
        """Return engine and number type for a document; nothing if they are the usual ones."""
        return {} if self == USUAL else self._asdict()


USUAL = Arithmetic()


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the number type of the forward pass for a name.

    Args:
        name: `fp32`, `bf16`, or `auto` for bf16 on devices that have it.
        device: device of the network.

    Raises:
        DeviceError: the name is unknown, or the device has no bf16.

    Examples:
        >>> choose_dtype("fp32", torch.device("cpu"))
        torch.float32
    """
    if name not in DTYPES:
        raise DeviceError(f"expected a number type out of {', '.join(DTYPES)}, got {name!r}")
    if name == "fp32":
        return torch.float32
    if has_bf16(device):
        return torch.bfloat16
    if name == "bf16":
        raise DeviceError(
            f"expected a device with bf16 instructions (on a processor AVX512_BF16, AMX or ARM's "
            f"BF16), '{device}' has none and would be many times slower; use --dtype fp32 or auto"
        )
    return torch.float32


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(_BF16_FLAGS & cpu_flags())


def cpu_flags() -> frozenset[str]:
    """Return the flags of the processor; empty on systems without /proc/cpuinfo."""
    try:
        lines = CPU_FLAGS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":") for line in lines)
    wanted = (flags.split() for key, _, flags in found if key.strip() in ("flags", "Features"))
    return frozenset(flag for flags in wanted for flag in flags)
