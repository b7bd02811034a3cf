"""Weights of timm networks: read from a file that a person names, or taken from the hub."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # what torch's restricted loader raises; nothing is pickled
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from teachmesh.errors import BackboneError

_UNSAFE = frozenset({".pth", ".pt", ".bin", ".pkl", ".pickle", ".ckpt", ".tar"})
_HUB_FILE = "model.safetensors"


def read_weights(path: Path) -> bytes:
    """The bytes of a weights file.

    Raises:
        BackboneError: missing, unreadable, or of a kind that can run code when it is loaded.
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
    """The tensors of a safetensors file, as they are stored.

    Raises:
        BackboneError: something else, or numbers that are not finite.
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

    Weights of the classifier are dropped if the network was built without one; nothing else may
    be left over or missing, except batch norms' counters, which some files lack.

    Raises:
        BackboneError: names or shapes do not fit; says which.
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
    """Prefixes of the classifier's weights."""
    config = getattr(net, "default_cfg", None) or {}
    name = config.get("classifier") or ()
    return tuple(f"{part}." for part in ((name,) if isinstance(name, str) else name))


def published_weights(config: Any) -> dict[str, Any]:
    """Fetch a network's published weights; needs the internet, once.

    From the hub always the safetensors file, never its pickled twin. Some old networks (the
    paper's legacy_xception among them) are published as a checksummed `.pth` alone: torch reads
    that with its restricted loader, which builds tensors and runs nothing; what the home keeps
    is safetensors.

    Args:
        config: timm's `PretrainedCfg`.

    Returns:
        timm's `pretrained_cfg_overlay` that says where the weights are.

    Raises:
        BackboneError: none are published, or they cannot be reached.
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
