"""What a head with biases reads of the network's taps, differentiable while it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from teachmesh.model.reference import project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachmesh.model.reference import Reference

_FLOOR = 1e-6
"""Added under the square root: its slope at 0 is infinite, and channels that are silent are 0."""


class TapLatents:
    """Taps -> the latents of one kind.

    Args:
        features: "last" or "multi"; Head2Toe's features begin from "last".
        reference: of the backbone.
        device: where the taps are.
    """

    def __init__(self, features: str, reference: Reference, device: torch.device) -> None:
        self._multi = features == "multi"
        self._scale = torch.from_numpy(reference.scale).to(device)
        self._projection = torch.from_numpy(reference.projection).to(device)

    def exact(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, D) as `Backbone.embed` has them."""
        return project(taps, self._scale, self._projection) if self._multi else taps[-1]

    def smooth(self, taps: Sequence[torch.Tensor]) -> torch.Tensor:
        """(N, D) nearly the same, with a finite slope everywhere."""
        if not self._multi:
            return taps[-1]
        x = torch.cat(list(taps), dim=1) / self._scale
        x = torch.sign(x) * (torch.sqrt(x.abs() + _FLOOR) - _FLOOR**0.5)
        return torch.nn.functional.normalize(x, dim=1) @ self._projection
