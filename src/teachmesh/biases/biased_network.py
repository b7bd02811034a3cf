"""Run a frozen network with beneficial biases: per task, one float per output channel of a layer.

y = Conv(x) + b + B (Eq. 1) and y = FC(x) + b + B (Eq. 2). B has one entry per output channel, equal
at every position. It lies along axis 1 for convolutions (N, C, H, W), and along the last axis for
fully connected layers. (The code of the authors views (N, C, H, W) as (N, H, W, C) instead, which
spreads B over positions and channels; `tests/biases/test_biased_network.py` shows the difference.)

Biases are stored in the paper's units: they are added *before* the batch norm that follows the
layer. The backbone folds these norms, and B becomes B gamma / sigma. That factor is applied only
here, so skills do not depend on how a backbone computes. `deviations` holds sigma: training is
better conditioned in units of it.
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
    """Multiply-accumulates of one image, counted.

    Attributes:
        prefix: from the image to the input of the first biased layer; 0 if that is the first layer.
        forward: the rest of the network, with biases.
        backward: the gradient with respect to the biases.
    """

    prefix: int
    forward: int
    backward: int


class BeneficialBiases:
    """A frozen network that runs with biases on some of its layers.

    It has its own modules around the weights of the backbone. Nothing is attached to the backbone,
    no gradient of a weight is ever computed, and several threads may use it.

    Args:
        forward: forward pass of the backbone.
        layout: the biased layers.
        size: side of the images in pixels; default the backbone's own.

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
        """True if the input of the first biased layer can be kept; otherwise images are kept."""
        return self._plan is not None

    @property
    def kept_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors from `prefix`, for one image."""
        if self._plan is None:
            return ((3, self.size, self.size),)
        return tuple(tensor.shape for tensor in self._plan.kept)

    @cached_property
    def per_image(self) -> tuple[bool, ...]:
        """For each biased layer, True if its output has rows for every image.

        Tables of positions have no such rows, and windows have several per image. Passes over two
        and over three images show the difference.
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
        """Count the multiply-accumulates of one image, a function of the taps included.

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
            images: (N, 3, S, S) uint8.
            values: (total,) biases of one task, or (N, total) biases of the task of each image;
                differentiable if they require gradients. None for no biases.
            watch: called with the output of every layer of the layout, even without biases.

        Returns:
            (N, C_i) float32 each, the paper's latent last.

        Raises:
            BackboneError: the images have another shape or type.
        """
        x = self._images(images)
        return self._run(lambda split: split.whole(x), values, len(x), watch)

    def prefix(self, images: torch.Tensor) -> Tensors:
        """Compute the inputs of `suffix`, which can then run any number of times.

        Args:
            images: (N, 3, S, S) uint8.

        Returns:
            Tensors (N, *shape) for each of `kept_shapes`, on the network's device.
        """
        with full_float32(self.device):
            return self._runner().split.prefix(self._images(images))

    def suffix(
        self, kept: Sequence[torch.Tensor], values: torch.Tensor | None, watch: Watch | None = None
    ) -> Tensors:
        """Compute the taps from the tensors of `prefix`; other arguments as for `taps`."""
        rows = [tensor.to(self.device, torch.float32) for tensor in kept]
        return self._run(lambda split: split.suffix(rows), values, len(rows[0]), watch)

    @torch.no_grad()
    def first_pass(self, images: torch.Tensor) -> tuple[Tensors, Tensors]:
        """Compute the taps without biases and the inputs of `suffix` in one pass.

        Args:
            images: (N, 3, S, S) uint8.

        Returns:
            The taps, and the tensors of `prefix`.
        """
        with full_float32(self.device):
            taps, kept = self._runner().split.both(self._images(images))
        return tuple(tap.float() for tap in taps), kept

    def _rows_of(self, n: int) -> dict[int, list[int]]:
        """Map the place in the layout to the output rows of each call, for n images."""
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
        """Plan the cut; return None if the outputs of the cut network differ."""
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
            # Code that reads values of activations, or bypasses torch functions.
            return None
        return plan if same else None


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
