"""Write a network as an ONNX file, and run such a file with onnxruntime."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from teachmesh.errors import BackboneError, MissingExtraError
from teachmesh.model.task_network import EXPORT_ERRORS

if TYPE_CHECKING:
    from onnx import ModelProto

PIXELS = "pixels"
"""Name of the only input: (N, 3, S, S) uint8."""
ABOUT_KEY = "teachmesh"
"""Key of the metadata entry that holds the description of the file as JSON."""
_BATCH = "images"


def onnx_file(
    network: nn.Module, size: int, outputs: Sequence[str], about: Mapping[str, Any]
) -> bytes:
    """Return the bytes of an ONNX file, for any number of images per call.

    Traces of the code that made the file are removed, because they contain paths of this machine.

    Args:
        network: network that takes (N, 3, S, S) uint8 images and returns a tuple of tensors.
        size: side of the images in pixels, S.
        outputs: names of the tensors that the network returns.
        about: description of the file, JSON values.

    Raises:
        BackboneError: torch cannot export a network of this kind.
        MissingExtraError: the packages of the extra `onnx` are not installed.
    """
    model = _exported(network, size, outputs)
    _clean(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = ABOUT_KEY, json.dumps(about, ensure_ascii=False, sort_keys=True)
    return bytes(model.SerializeToString())


def run_onnx(data: bytes, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Run an ONNX file on the CPU; return its outputs by name.

    Args:
        data: bytes of the file.
        pixels: (N, 3, S, S) uint8 images.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {PIXELS: pixels}), strict=True))


def _exported(network: nn.Module, size: int, outputs: Sequence[str]) -> ModelProto:
    try:
        import onnxscript  # noqa: F401 - torch imports it late, with another error
    except ImportError as error:
        raise MissingExtraError("onnxscript", "onnx") from error
    example = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    batch = torch.export.Dim(_BATCH, min=1, max=65_536)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about its own deprecated functions
            program = torch.onnx.export(
                network.eval(),
                (example,),
                input_names=[PIXELS],
                output_names=list(outputs),
                dynamic_shapes=({0: batch},),
                dynamo=True,
                verbose=False,
            )
    except EXPORT_ERRORS as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BackboneError(
            f"expected a network that torch.onnx can write for any number of images, it says: "
            f"{reason}; use another backbone for skills that are to be exported"
        ) from error
    assert program is not None  # None only if a path is given
    return program.model_proto


def _clean(model: ModelProto) -> None:
    """Remove names of source files, and call the axis of the images by its name."""
    graph = model.graph
    model.doc_string = ""
    del graph.value_info[:]
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
    for function in model.functions:
        for part in (function, *function.node):
            part.doc_string = ""
            del part.metadata_props[:]
        del function.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
