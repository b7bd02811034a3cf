"""One forward pass: pixels -> pooled taps, as fast as eager torch goes without a compiler.

Processor time on one AVX2 core against eager NCHW without folding: MobileNetV2 at 160 px 1.8 to 1.9
times the images per second, Xception at 299 px 1.7, the embedded network at 96 px 1.4. Fusing the
activations into the convolutions (the operator that torch's compiler uses) gave 1.08 more at equal
bits, prepacked weights 1.02: not worth two private interfaces.
"""

from __future__ import annotations

import copy
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from teachmesh.errors import BackboneError
from teachmesh.model.batch_norm_folding import fold_batch_norms


@dataclass(frozen=True)
class Preprocessing:
    """How pixels go into the network.

    Attributes:
        size: side of the square input in pixels.
        mean: subtracted per channel, after scaling pixels to [0, 1].
        std: divisor per channel.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ForwardPass:
    """A network ready to run: batch norms folded, channels last, frozen.

    Args:
        net: takes (N, 3, S, S) normalised float images and returns a tuple of pooled taps
            (N, C_i). A copy is made; the argument is left as it is. With an attribute `reentrant`
            that is true, its forward pass leaves nothing in the module.
        preprocessing: size, mean, deviation.
        device: where it runs.
        dtype: number type of the network.

    Raises:
        BackboneError: the network cannot take images of this size.
    """

    def __init__(
        self,
        net: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.preprocessing = preprocessing
        self.device = device
        self.dtype = dtype
        try:
            folded = fold_batch_norms(net.eval(), preprocessing.size).requires_grad_(False)
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())[:120]
            size = preprocessing.size
            raise BackboneError(
                f"this network cannot take images of {size} px ({reason}); choose another --size, "
                f"or tell it with --option img_size={size}"
            ) from error
        self.net: nn.Module = folded.to(device=device, dtype=dtype).to(
            memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        self._mean = self._channels(preprocessing.mean)
        self._std = self._channels(preprocessing.std)
        # Taps are collected by hooks, so every thread has modules of its own around one set of
        # weights.
        self._mine = threading.local()
        self._mine.net = self.net

    @torch.inference_mode()
    def taps(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Raw pooled taps, (N, C_i) float32 each, the paper's latent last.

        Raises:
            BackboneError: another shape or type than (N, 3, S, S) uint8.
        """
        x = self.normalise(images)
        with full_float32(self.device):
            return tuple(tap.float() for tap in self._net()(x))

    def normalise(self, images: torch.Tensor, size: int | None = None) -> torch.Tensor:
        """What the network takes: (N, 3, S, S) of its number type, channels last.

        Args:
            images: (N, 3, S, S) uint8.
            size: S; default the preprocessing's.

        Raises:
            BackboneError: another shape or type.
        """
        size = size or self.preprocessing.size
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != (3, size, size):
            raise BackboneError(
                f"expected images (N, 3, {size}, {size}) of uint8, got {tuple(images.shape)} of "
                f"{images.dtype}"
            )
        x = images.to(self.device).to(self.dtype).contiguous(memory_format=torch.channels_last)
        return x.sub_(self._mean).div_(self._std)

    def _net(self) -> nn.Module:
        if getattr(self.net, "reentrant", False):
            return self.net
        if not hasattr(self._mine, "net"):
            self._mine.net = own_modules(self.net)
        return cast("nn.Module", self._mine.net)

    def _channels(self, values: tuple[float, float, float]) -> torch.Tensor:
        scaled = torch.tensor(values, dtype=torch.float64).mul(255).to(self.dtype)
        return scaled.to(self.device).view(1, 3, 1, 1)


def own_modules(net: nn.Module) -> nn.Module:
    """Modules of one's own (hooks, attributes) around the same weights, at no memory."""
    memo = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    return copy.deepcopy(net, memo)


def full_float32(device: torch.device) -> AbstractContextManager[object]:
    """CUDA convolves float32 in TF32 by default, three digits short of what other agents see."""
    if device.type != "cuda":
        return nullcontext()
    flags = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return cast("AbstractContextManager[object]", flags)
