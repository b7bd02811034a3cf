"""The recipe of a side-loaded backbone: the content of its `backbone.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from teachmesh.errors import BackboneError
from teachmesh.model.backbone import Preprocessing

SCHEMA = "teachmesh.recipe/1"
Option = str | int | float | bool | None
OWN_PREFIX = "own/"
"""Start of the architecture of a network from another package (`model.own_network`)."""
MIN_SIZE, MAX_SIZE = 16, 1024
# Options with which timm would load files, access the hub, or change inputs or outputs.
_OURS = frozenset(
    {
        "cache_dir",
        "checkpoint_path",
        "exportable",
        "features_only",
        "in_chans",
        "no_jit",
        "num_classes",
        "out_indices",
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "pretrained_strict",
        "scriptable",
    }
)


@dataclass(frozen=True)
class Recipe:
    """A backbone without its weights and reference; validated, because it may come from a peer.

    Attributes:
        architecture: timm's name of the network, with or without tag; or `OWN_PREFIX` and the name
            of a network of another package.
        options: additional arguments of the network.
        preprocessing: image size, mean and standard deviation.

    Raises:
        BackboneError: an option is not an argument of the network, or the preprocessing is invalid.
    """

    architecture: str
    options: Mapping[str, Option]
    preprocessing: Preprocessing

    def __post_init__(self) -> None:
        for key in self.options:
            if key in _OURS or not key.isidentifier():
                raise BackboneError(
                    f"expected an option of the network itself, got {key!r}; leave it out"
                )
        size, mean, std = (
            self.preprocessing.size,
            self.preprocessing.mean,
            self.preprocessing.std,
        )
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise BackboneError(f"expected a size of {MIN_SIZE} to {MAX_SIZE} px, got {size}")
        if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise BackboneError(f"expected finite means and positive deviations, got {mean}, {std}")

    @property
    def title(self) -> str:
        """Name and options in one line, the text that the fingerprint covers."""
        origin = "" if self.architecture.startswith(OWN_PREFIX) else "timm/"
        return f"{origin}{self.architecture} {json.dumps(dict(self.options), sort_keys=True)}"

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values, including the schema."""
        return {
            "schema": SCHEMA,
            "architecture": self.architecture,
            "options": dict(self.options),
            **asdict(self.preprocessing),
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Recipe:
        """Read a recipe from the values of `to_json`; other keys are ignored.

        Raises:
            BackboneError: the values are malformed.
        """
        try:
            if about["schema"] != SCHEMA:
                raise ValueError("another schema")
            options = dict(about["options"])
            if not all(isinstance(value, Option) for value in options.values()):
                raise ValueError("an option is no plain value")
            preprocessing = Preprocessing(
                int(about["size"]), _three(about["mean"]), _three(about["std"])
            )
            return cls(str(about["architecture"]), options, preprocessing)
        except (KeyError, TypeError, ValueError) as error:
            raise BackboneError(
                f"the backbone's description is malformed ({type(error).__name__}); add the "
                "backbone again, or export it again where it comes from"
            ) from error


def parse_options(options: Mapping[str, str]) -> dict[str, Option]:
    """Parse each value as a JSON scalar; keep a value that is not a JSON scalar as text.

    >>> parse_options({"pad_type": "same", "img_size": "64"})
    {'pad_type': 'same', 'img_size': 64}
    """
    parsed: dict[str, Option] = {}
    for key, text in options.items():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        parsed[key] = value if isinstance(value, Option) else text
    return parsed


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
