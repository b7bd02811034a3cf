"""How a side-loaded backbone is built again: what its `backbone.json` says."""

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
MIN_SIZE, MAX_SIZE = 16, 1024
# What timm would use to load files, to reach the hub, or to change what goes in and comes out.
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
    """Everything but weights and reference. May come from a stranger's file: checked when made.

    Attributes:
        architecture: timm's name, with or without tag.
        options: further arguments of the network.
        preprocessing: size, mean, deviation.

    Raises:
        BackboneError: an option that is not the network's own, or a preprocessing that makes no
            sense.
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
        """Name and options in one line, as the fingerprint has them."""
        return f"timm/{self.architecture} {json.dumps(dict(self.options), sort_keys=True)}"

    def to_json(self) -> dict[str, Any]:
        """JSON values, the schema included."""
        return {
            "schema": SCHEMA,
            "architecture": self.architecture,
            "options": dict(self.options),
            **asdict(self.preprocessing),
        }

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Recipe:
        """Read what `to_json` wrote; further keys are left to the caller.

        Raises:
            BackboneError: malformed.
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
    """Option values as JSON where they are JSON, as text otherwise.

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
