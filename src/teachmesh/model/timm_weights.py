"""Get the weights of timm networks from a user's file or from the hub.

`ensure_torchvision` makes timm importable if torchvision was built for another version of torch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # raised by torch's restricted loader; nothing is unpickled
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from teachmesh.errors import BackboneError

_UNSAFE = frozenset({".pth", ".pt", ".bin", ".pkl", ".pickle", ".ckpt", ".tar"})
_HUB_FILE = "model.safetensors"
_SYMPTOM = "operator torchvision::nms does not exist"
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A declared operator exists only as long as its library object.
_declared: list[Any] = []


def read_weights(path: Path) -> bytes:
    """Read the bytes of a weights file.

    Raises:
        BackboneError: the file is missing or unreadable, or its format can run code on loading.
    """
    if path.suffix.lower() in _UNSAFE:
        raise BackboneError(
            f"expected a .safetensors file, got '{path.name}', which could run code when it is "
            "loaded; convert it with safetensors.torch.save_file"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise BackboneError(
            f"expected a weights file at '{path}', got '{error.strerror}'; check the path"
        ) from error


def parse_weights(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, in their stored types.

    Raises:
        BackboneError: the data has another format, or some numbers are not finite.
    """
    try:
        state = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BackboneError(
            "expected a safetensors file with a network's weights, got something else or a part "
            "of one; get it again"
        ) from error
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value.float()).all()):
            raise BackboneError(
                f"expected finite weights, those of {key!r} are not; get them again"
            )
    return state


def fill(net: nn.Module, name: str, state: Mapping[str, Tensor]) -> None:
    """Copy weights into a timm network.

    Classifier weights are ignored if the network has no classifier. All other names must match
    exactly, except that batch norm counters may be missing.

    Raises:
        BackboneError: names or shapes do not fit; the message lists them.
    """
    own = net.state_dict()
    dropped = _classifier(net)
    given = {
        key: value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if key in own or not key.startswith(dropped)
    }
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key not in given]
    unknown = [key for key in given if key not in own]
    reshaped = [key for key in given if key in own and given[key].shape != own[key].shape]
    for problem, keys in (
        ("lack", missing),
        ("also hold", unknown),
        ("have other shapes in", reshaped),
    ):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise BackboneError(
                f"expected weights of {name}, but these {problem} {', '.join(sorted(keys)[:3])}"
                f"{more}; check the network's name and --option"
            )
    net.load_state_dict(given, strict=False)


def _classifier(net: nn.Module) -> tuple[str, ...]:
    """Return the name prefixes of the classifier's weights."""
    config = getattr(net, "default_cfg", None) or {}
    name = config.get("classifier") or ()
    return tuple(f"{part}." for part in ((name,) if isinstance(name, str) else name))


def published_weights(config: Any) -> dict[str, Any]:
    """Download the published weights of a network.

    From the hub, only safetensors files are read, never pickle files. Some old networks (including
    legacy_xception, the paper's network) are published only as `.pth` files with a checksum. They
    are read with torch's restricted loader, which runs no code. The home stores all weights as
    safetensors.

    Args:
        config: timm's `PretrainedCfg`.

    Returns:
        Value for timm's `pretrained_cfg_overlay`: the weights or the path of their file.

    Raises:
        BackboneError: no weights are published, or the download failed.
    """
    try:
        if config.hf_hub_id:
            from huggingface_hub import hf_hub_download

            name = config.hf_hub_filename or _HUB_FILE
            if not name.endswith(".safetensors"):
                raise OSError("the hub has no safetensors file of it")
            return {"file": hf_hub_download(config.hf_hub_id, name), "custom_load": False}
        if config.url:
            state = torch.hub.load_state_dict_from_url(
                config.url, map_location="cpu", check_hash=True, weights_only=True, progress=False
            )
            return {"state_dict": state}
        raise OSError("none are published")
    except (OSError, RuntimeError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BackboneError(
            f"could not get the weights from the hub ({reason}); connect to the internet, or "
            "bring a file: --weights FILE.safetensors"
        ) from error


def ensure_torchvision() -> bool:
    """Import torchvision; if the import fails for lack of operators, declare them first.

    Returns:
        True if the shim was needed; False if torchvision matches torch.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: the import fails for another reason.
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
    make: Any = torch.library.Library  # torch has no type hints for this class
    library = make("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    importlib.import_module("torchvision")
    return True
