"""Run a frozen network with beneficial biases: for each task, one float per output channel.

A layer computes y = Conv(x) + b + B (Eq. 1) or y = FC(x) + b + B (Eq. 2). The entry of B for an
output channel is added at every position. The channels are on axis 1 for convolutions with outputs
(N, C, H, W), and on the last axis for fully connected layers. (The authors' code reinterprets
(N, C, H, W) as (N, H, W, C) instead, which spreads B over positions and channels;
`tests/biases/test_biased_network.py` shows the difference.)

Biases are stored in the paper's units: they are added *before* the batch norm that follows the
layer. The backbone folds these norms into its layers, so B must be multiplied by gamma / sigma.
Only this module applies the factor, so skills do not depend on the folding. `deviations` holds
sigma, because training is better conditioned in units of sigma.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from teachmesh.biases.apply_biases import (
    BiasRunner,
    Watch,
    biased_modules,
    check_total,
    gains,
    joined,
)
from teachmesh.biases.bias_layout import BiasLayout
from teachmesh.biases.cut_plan import SuffixPlan, plan_suffix
from teachmesh.biases.network_cut import Split
from teachmesh.errors import BackboneError
from teachmesh.model.forward_pass import (
    ForwardPass,
    Tensors,
    full_float32,
    norm_deviation,
    own_modules,
)
from teachmesh.model.macs import count_macs

TOLERANCE = 1e-4


@dataclass(frozen=True)
class PassCosts:
    """Counted multiply-accumulates of one image.

    Attributes:
        prefix: cost up to the input of the first biased layer; 0 if no layer precedes it.
        forward: cost of the rest of the forward pass, with biases.
        backward: cost of the gradient with respect to the biases.
    """

    prefix: int
    forward: int
    backward: int


class BeneficialBiases:
    """A frozen network that runs with biases on some of its layers.

    The network has its own modules but shares the weights of the backbone, which is not modified.
    Gradients of weights are never computed. This class is thread-safe.

    Args:
        forward: forward pass of the backbone.
        layout: the biased layers.
        size: side of the images in pixels; the backbone's own by default.

    Raises:
        BackboneError: the layout belongs to another network.
    """

    def __init__(self, forward: ForwardPass, layout: BiasLayout, size: int | None = None) -> None:
        self.layout = layout
        self.size = size or forward.preprocessing.size
        self._forward = forward
        layers = biased_modules(forward.net, layout)
        self._gains = gains(layers).to(self.device)
        self.deviations = joined([(layer, norm_deviation(layer)) for layer in layers])
        self._plan = self._checked_plan()
        self._mine = threading.local()

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self._forward.device

    @property
    def splits(self) -> bool:
        """True if the activations at the cut can be kept instead of the images."""
        return self._plan is not None

    @property
    def kept_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors that `prefix` returns, for one image."""
        if self._plan is None:
            return ((3, self.size, self.size),)
        return tuple(tensor.shape for tensor in self._plan.kept)

    @cached_property
    def per_image(self) -> tuple[bool, ...]:
        """For each biased layer, True if its output has one or several rows for every image.

        The output of a layer for windows has several rows per image. A layer that computes a table
        of positions has none. Passes over two and over three images tell these cases apart.
        """
        two, three = (self._rows_of(n) for n in (2, 3))
        places = range(len(self.layout.chosen))
        calls = [zip(two[place], three[place], strict=True) for place in places]
        return tuple(all(3 * a == 2 * b for a, b in rows) for rows in calls)

    @property
    def mixes(self) -> bool:
        """True if images of different tasks can share a batch, each with its own biases."""
        return all(self.per_image)

    @cached_property
    def costs(self) -> PassCosts:
        """Multiply-accumulates of one image, counted operation by operation."""
        return self.costs_of(lambda taps: torch.cat([tap.flatten() for tap in taps]))

    def costs_of(
        self,
        read: Callable[[Tensors], torch.Tensor],
        parameters: Sequence[torch.Tensor] = (),
    ) -> PassCosts:
        """Count the multiply-accumulates of one image, including those of a function of the taps.

        Args:
            read: differentiable function of the taps.
            parameters: parameters of `read` that also get gradients.
        """
        image = torch.zeros(1, 3, self.size, self.size, dtype=torch.uint8)
        values = torch.zeros(self.layout.total, device=self.device, requires_grad=True)
        found: list[Tensors] = []
        prefix = count_macs(lambda: found.append(self.prefix(image)))
        with torch.enable_grad():
            forward = count_macs(lambda: found.append((read(self.suffix(found[0], values)),)))
            loss, wanted = found[1][0].sum(), (values, *parameters)
            backward = count_macs(lambda: torch.autograd.grad(loss, wanted))
        return PassCosts(prefix, forward, backward)

    def taps(
        self, images: torch.Tensor, values: torch.Tensor | None, watch: Watch | None = None
    ) -> Tensors:
        """Compute the raw pooled taps of images, with biases.

        Args:
            images: (N, 3, S, S) uint8 tensor.
            values: biases, (total,) for one task or (N, total) with one row per image; None for no
                biases. If the biases require gradients, the result is differentiable.
            watch: callback for the output of every layer of the layout, even without biases.

        Returns:
            The taps, each an (N, C_i) float32 tensor; the last tap is the paper's latent.

        Raises:
            BackboneError: the images have the wrong shape or type.
        """
        x = self._images(images)
        return self._run(lambda split: split.whole(x), values, len(x), watch)

    def prefix(self, images: torch.Tensor) -> Tensors:
        """Compute the inputs of `suffix`, which can then run any number of times.

        Args:
            images: (N, 3, S, S) uint8.

        Returns:
            An (N, *shape) tensor for each shape in `kept_shapes`, on the network's device.
        """
        with full_float32(self.device):
            return self._runner().split.prefix(self._images(images))

    def suffix(
        self, kept: Sequence[torch.Tensor], values: torch.Tensor | None, watch: Watch | None = None
    ) -> Tensors:
        """Compute the taps from the result of `prefix`; `values` and `watch` as in `taps`."""
        rows = [tensor.to(self.device, torch.float32) for tensor in kept]
        return self._run(lambda split: split.suffix(rows), values, len(rows[0]), watch)

    @torch.no_grad()
    def first_pass(self, images: torch.Tensor) -> tuple[Tensors, Tensors]:
        """In one pass, compute the taps without biases and the inputs of `suffix`.

        Args:
            images: (N, 3, S, S) uint8.

        Returns:
            The taps, and the inputs of `suffix`.
        """
        with full_float32(self.device):
            taps, kept = self._runner().split.both(self._images(images))
        return tuple(tap.float() for tap in taps), kept

    def _rows_of(self, n: int) -> dict[int, list[int]]:
        """For n images, return the number of output rows of each call, by index of the layer."""
        found: dict[int, list[int]] = {}
        images = torch.zeros(n, 3, self.size, self.size, dtype=torch.uint8)
        self.taps(images, None, lambda place, out: found.setdefault(place, []).append(len(out)))
        return found

    def _images(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self._forward.normalise(images, self.size)

    def _run(
        self,
        work: Callable[[Split], Tensors],
        values: torch.Tensor | None,
        n: int,
        watch: Watch | None,
    ) -> Tensors:
        learns = values is not None and values.requires_grad and torch.is_grad_enabled()
        runner = self._runner()
        with torch.set_grad_enabled(learns), full_float32(self.device):
            scaled = None if values is None else self._scaled(values, n)
            with runner.biased(scaled, watch):
                taps = work(runner.split)
            return tuple(tap.float() for tap in taps)

    def _scaled(self, values: torch.Tensor, n: int) -> torch.Tensor:
        check_total(self.layout, values)
        if values.ndim != 1 and values.shape[:-1] != (n,):
            raise BackboneError(
                f"expected biases of one task or of {n} images, got {tuple(values.shape)}"
            )
        return values.to(self.device) * self._gains

    def _runner(self) -> BiasRunner:
        runner: BiasRunner | None = getattr(self._mine, "runner", None)
        if runner is None:
            runner = self._mine.runner = BiasRunner(self._forward.net, self.layout, self._plan)
        return runner

    def _checked_plan(self) -> SuffixPlan | None:
        """Plan the cut; return None if it would change the outputs of the network."""
        if self.layout.first == 0:
            return None
        net = self._forward.net
        generator = torch.Generator().manual_seed(0)
        shape = (1, 3, self.size, self.size)
        pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        images = self._images(pixels)
        try:
            plan = plan_suffix(net, self.layout.chosen[0].name, self.size)
            split = Split(own_modules(net), plan)
            with torch.no_grad(), full_float32(self.device):
                pairs = zip(split.suffix(split.prefix(images)), split.whole(images), strict=True)
                same = all(_error(found, expected) <= TOLERANCE for found, expected in pairs)
        except (RuntimeError, KeyError, TypeError, ValueError):
            # The network branches on activations, or bypasses torch functions.
            return None
        return plan if same else None


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
