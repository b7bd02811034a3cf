"""Makes torchvision importable beside a torch build that it was not compiled for.

timm imports torchvision. A torchvision wheel that was built against CUDA libraries cannot load its
compiled operators beside a CPU-only torch; its Python half then fails to register a fake for an
operator that was never declared. Declaring the two schemas by hand lets the import succeed.
Transforms, data sets and all of timm work then; the compiled operators (nms, io) do not exist.
See pytorch/vision issues 9077 and 9085.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_SYMPTOM = "operator torchvision::nms does not exist"
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# The declaration lives as long as this object.
_declared: list[Any] = []


def ensure_torchvision() -> bool:
    """Import torchvision, declaring its missing operators if that very error came.

    Returns:
        True if the shim was needed; on a matched pair nothing is done.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: it fails for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if _SYMPTOM not in str(error):
            raise
    else:
        return False
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    import torch

    make: Any = torch.library.Library  # torch ships no types for it
    library = make("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    importlib.import_module("torchvision")
    return True
