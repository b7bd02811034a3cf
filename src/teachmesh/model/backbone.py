"""The frozen backbone, which computes the latents of images in one forward pass."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from teachmesh.model.forward_pass import ForwardPass, Preprocessing
from teachmesh.model.macs import macs_per_image
from teachmesh.model.number_type import USUAL, Arithmetic
from teachmesh.model.reference import Reference, project

__all__ = ["Backbone", "Identity", "Latents", "Preprocessing", "hash_weights"]

FINGERPRINT_SCHEMA = "teachmesh.backbone/1"


@dataclass(frozen=True, eq=False)
class Latents:
    """Latents of N images.

    Attributes:
        last: (N, D_last) float32 array of the paper's latents, the pooled last layer.
        multi: (N, D) float32 array of multi-depth latents: the pooled inner and last layers after
            scaling, power transform and projection by the backbone's reference.
    """

    last: np.ndarray
    multi: np.ndarray

    def __len__(self) -> int:
        return len(self.last)


@dataclass(frozen=True)
class Identity:
    """All properties of a backbone that determine its latents.

    Attributes:
        architecture: name and options of the network.
        weights_sha256: hash of the weights as float32, tensor by tensor.
        preprocessing: image size, mean and standard deviation.
        taps: names of the taps, in order.
        reference_id: hash of the reference file.
    """

    architecture: str
    weights_sha256: str
    preprocessing: Preprocessing
    taps: tuple[str, ...]
    reference_id: str

    @property
    def fingerprint(self) -> str:
        """Hash (64 hex digits) of all fields; equal hashes mean equal latents up to rounding."""
        document = {"schema": FINGERPRINT_SCHEMA, **asdict(self)}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Backbone:
    """A frozen network with its preprocessing and reference.

    A backbone is thread-safe and never changes: no gradient is computed, and the weights always
    match the fingerprint.

    Args:
        name: alias of the backbone in the home.
        architecture: name and options of the network.
        net: network that takes (N, 3, S, S) normalised float images and returns a tuple of pooled
            taps (N, C_i), the last being the paper's latent. Batch norms are folded in a copy.
        tap_names: one name per tap.
        preprocessing: image size, mean and standard deviation.
        reference: scale and projection of the multi-depth latents.
        weights_sha256: `hash_weights` of the network's state before folding.
        device: device of the network; the CPU by default.

    Attributes:
        arithmetic: engine and number type of `taps` and `embed`.

    Raises:
        BackboneError: the reference does not fit the network.
    """

    def __init__(
        self,
        *,
        name: str,
        architecture: str,
        net: nn.Module,
        tap_names: Sequence[str],
        preprocessing: Preprocessing,
        reference: Reference,
        weights_sha256: str,
        device: torch.device | None = None,
    ) -> None:
        self.name = name
        self.preprocessing = preprocessing
        self.reference = reference
        self.arithmetic = USUAL
        self.identity = Identity(
            architecture, weights_sha256, preprocessing, tuple(tap_names), reference.id
        )
        self._forward = ForwardPass(net, preprocessing, device or torch.device("cpu"))
        self._taps: Callable[[torch.Tensor], tuple[torch.Tensor, ...]] = self._forward.taps
        self._scale = torch.from_numpy(reference.scale).to(self.device)
        self._projection = torch.from_numpy(reference.projection).to(self.device)
        black = self.taps(torch.zeros(1, 3, self.size, self.size, dtype=torch.uint8))
        reference.apply([tap.cpu() for tap in black])  # raises if the reference does not fit
        self.last_dim = int(black[-1].shape[1])

    @property
    def architecture(self) -> str:
        """Name and options of the network."""
        return self.identity.architecture

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self._forward.device

    @property
    def forward_pass(self) -> ForwardPass:
        """The network in ready-to-run form, for passes with biases and for export."""
        return self._forward

    @property
    def size(self) -> int:
        """Side of the square input in pixels."""
        return self.preprocessing.size

    @property
    def last_variance(self) -> float:
        """Mean variance of the last layer's latents over the reference images."""
        scale = self.reference.scale[-self.last_dim :].astype(np.float64)
        return float((scale * scale).mean())

    @property
    def dim(self) -> int:
        """Number of multi-depth latents, D."""
        return self.reference.dim

    @property
    def reference_id(self) -> str:
        """Hash of the reference file."""
        return self.identity.reference_id

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, preprocessing, taps and reference."""
        return self.identity.fingerprint

    @property
    def latents_id(self) -> str:
        """Name of the latents in caches; equal names mean equal latents up to rounding.

        It is the fingerprint, followed by engine and number type unless they are the usual ones.
        """
        return "|".join([self.fingerprint, *self.arithmetic.to_json().values()])

    @cached_property
    def macs_per_image(self) -> int:
        """Number of multiply-accumulates for the forward pass and projection of one image."""
        return macs_per_image(self._forward.net, self.size) + int(self.reference.projection.size)

    def embed(self, images: torch.Tensor) -> Latents:
        """Compute the latents of images in one forward pass.

        The batch affects the latents of an image only by rounding. With another batch size,
        convolutions and matrix products may sum in another order, which changes a latent by about
        1e-6 of its norm. All N images are processed at once, so N should be small.

        Args:
            images: (N, 3, S, S) uint8 images; N may be 0.

        Raises:
            BackboneError: the images have another shape or type.
        """
        return self.embed_later(images)()

    @torch.inference_mode()
    def embed_later(self, images: torch.Tensor) -> Callable[[], Latents]:
        """Start `embed`; return a function that waits for the latents.

        An accelerator works while the caller prepares the next images. A CPU is done at once.
        """
        if len(images) == 0 and images.dtype == torch.uint8:
            last, multi = (np.zeros((0, n), np.float32) for n in (self.last_dim, self.dim))
            return lambda: Latents(last, multi)
        taps = self.taps(images)
        projected = project(taps, self._scale, self._projection)
        return lambda: Latents(_numpy(taps[-1]), _numpy(projected))

    def taps(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the raw pooled taps, (N, C_i) float32 each; the last tap is the paper's latent.

        Raises:
            BackboneError: the images are not (N, 3, S, S) uint8.
        """
        return self._taps(images)

    def with_pass(
        self, taps: Callable[[torch.Tensor], tuple[torch.Tensor, ...]], arithmetic: Arithmetic
    ) -> Backbone:
        """Return this backbone with another implementation of `taps`; see `compute_engine`.

        Args:
            taps: function that takes images and returns their taps, as the method `taps` does.
            arithmetic: engine and number type of that function.
        """
        other = copy.copy(self)
        other._taps, other.arithmetic = taps, arithmetic
        return other

    def describe(self) -> dict[str, Any]:
        """Return the description that `teachmesh backbone show` prints, as JSON values."""
        return {
            "name": self.name,
            "architecture": self.identity.architecture,
            "fingerprint": self.fingerprint,
            "reference": self.reference_id,
            "size_px": self.size,
            "mean": list(self.preprocessing.mean),
            "std": list(self.preprocessing.std),
            "dim": self.dim,
            "last_dim": self.last_dim,
            "tap_channels": len(self.reference.scale),
            "taps": list(self.identity.taps),
            "macs_per_image": self.macs_per_image,
            "weights_sha256": self.identity.weights_sha256,
        }


def hash_weights(state: dict[str, torch.Tensor]) -> str:
    """Hash the names, types, shapes and bytes of tensors, sorted by name.

    Batch norm counters are excluded: some files lack them, and they do not affect latents.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.endswith("num_batches_tracked"):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.cpu().numpy())
