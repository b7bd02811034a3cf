"""Run a backbone with another library or another number type than torch's float32.

The fingerprint stays the same, because it names the network and not the arithmetic. Latents of
another engine differ in the last digits (float32) or by 0.6 to 14 % (bfloat16). Skills are data, so
all agents still hold the same bytes, but an answer may differ where two classes are nearly equal.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch

from teachmesh.errors import DeviceError, MissingExtraError
from teachmesh.model.backbone import Backbone
from teachmesh.model.number_type import USUAL, Arithmetic, choose_dtype
from teachmesh.model.openvino_pass import OpenVinoPass

ENGINES = ("torch", "openvino")


def with_engine(backbone: Backbone, engine: str = "torch", dtype: str = "fp32") -> Backbone:
    """Return a backbone whose latents are computed by an engine. Biases always use torch.

    Args:
        backbone: a backbone that runs with torch, which is not changed.
        engine: `torch`, or `openvino` on a processor.
        dtype: `fp32`, `bf16`, or `auto`, see `number_type.choose_dtype`.

    Raises:
        DeviceError: an option is unknown, or the device does not have it.
        MissingExtraError: OpenVINO is not installed.
        BackboneError: OpenVINO cannot run the network.
    """
    arithmetic = choose_arithmetic(engine, dtype, backbone.device)
    forward = backbone.forward_pass
    if engine == "openvino":
        chosen = torch.bfloat16 if arithmetic.dtype == "bf16" else torch.float32
        return backbone.with_pass(OpenVinoPass(forward, chosen).taps, arithmetic)
    if arithmetic == USUAL:
        return backbone
    return backbone.with_pass(forward.mixed_taps, arithmetic)


def choose_arithmetic(engine: str, dtype: str, device: torch.device) -> Arithmetic:
    """Return the engine and the number type that two options choose.

    Args:
        engine: `torch`, or `openvino` on a processor.
        dtype: `fp32`, `bf16`, or `auto`.
        device: device of the network.

    Raises:
        DeviceError: an option is unknown, or the device does not have it.
        MissingExtraError: OpenVINO is not installed.

    Examples:
        >>> choose_arithmetic("torch", "fp32", torch.device("cpu"))
        Arithmetic(engine='torch', dtype='fp32')
    """
    if engine not in ENGINES:
        raise DeviceError(f"expected an engine out of {', '.join(ENGINES)}, got {engine!r}")
    chosen = choose_dtype(dtype, device)
    if engine == "openvino":
        if device.type != "cpu":
            raise DeviceError(f"expected --device cpu with --engine openvino, got '{device}'")
        if find_spec("openvino") is None:
            raise MissingExtraError("openvino", "openvino")
    return Arithmetic(engine, "fp32" if chosen == torch.float32 else "bf16")
