"""Apply the biases of tasks to the layers of a network: fold them in, or add them by hooks.

If all images belong to one task and its biases are not being trained, they are folded into the
layers' own biases, at no cost. Otherwise forward hooks add the biases to the outputs of the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from teachmesh.biases.bias_layout import BiasLayout
from teachmesh.biases.cut_plan import SuffixPlan
from teachmesh.biases.network_cut import Split
from teachmesh.errors import BackboneError
from teachmesh.model.forward_pass import norm_gain, own_modules

Layer = nn.Conv2d | nn.Linear
Watch = Callable[[int, torch.Tensor], None]
"""Callback that gets the index of a biased layer in the layout, and its output with biases.

The channels are on axis 1 of this output, even if the layer itself has them last.
"""


class BiasRunner:
    """Run a network with biases; not thread-safe.

    Args:
        net: network of the backbone; it is not modified.
        layout: the biased layers.
        plan: plan of the cut; None if the network is not cut.
    """

    def __init__(self, net: nn.Module, layout: BiasLayout, plan: SuffixPlan | None) -> None:
        self.split = Split(own_modules(net), plan)
        self._layout = layout
        self._layers = biased_modules(self.split.net, layout)

    @contextmanager
    def biased(self, scaled: torch.Tensor | None, watch: Watch | None) -> Iterator[None]:
        """Apply biases to the layers within the context.

        Args:
            scaled: biases times `gains`, (total,) for one task or (N, total) with one row per
                image; None to apply no biases.
            watch: callback for the output of every biased layer, or None.
        """
        with ExitStack() as stack:
            if scaled is not None and scaled.ndim == 1 and not scaled.requires_grad:
                stack.enter_context(folded_in(self._layers, self._layout, scaled))
                scaled = None
            if scaled is not None or watch is not None:
                for place, layer in enumerate(self._layers):
                    part = None if scaled is None else scaled[..., self._layout.slices[place]]
                    hook = layer.register_forward_hook(_after(place, part, watch))
                    stack.callback(hook.remove)
            yield


def _after(
    place: int, bias: torch.Tensor | None, watch: Watch | None
) -> Callable[[nn.Module, object, torch.Tensor], torch.Tensor]:
    def after(module: nn.Module, _args: object, output: torch.Tensor) -> torch.Tensor:
        axis = 1 if isinstance(module, nn.Conv2d) else -1
        if bias is not None:
            output = add_bias(output, bias, axis)
        if watch is not None:
            watch(place, output.movedim(axis, 1) if output.ndim > 1 else output)
        return output

    return after


def add_bias(output: torch.Tensor, bias: torch.Tensor, axis: int) -> torch.Tensor:
    """Add biases B (Eq. 1 and 2) to the output of a layer; the output is modified in place.

    Args:
        output: output of shape (N, C, H, W), (N, C), (N, tokens, C) or similar; the first size is
            N * P in networks that split images into P windows.
        bias: (C,) biases, or (N, C) with one row per image.
        axis: axis of the channels in the output: 1 or -1.

    Returns:
        The tensor `output`.

    Raises:
        BackboneError: the number of output rows is not a multiple of the number of images.

    Examples:
        >>> add_bias(torch.zeros(1, 2, 1, 3), torch.tensor([1.0, 2.0]), axis=1).tolist()
        [[[[1.0, 1.0, 1.0]], [[2.0, 2.0, 2.0]]]]
    """
    if bias.ndim == 2:
        parts, rest = divmod(len(output), len(bias))
        if rest:
            raise BackboneError(
                f"expected one row per image in a layer's output, got {len(output)} rows for "
                f"{len(bias)} images; this network cannot mix tasks in one batch"
            )
        bias = bias if parts == 1 else bias.repeat_interleave(parts, 0)
    inner = output.ndim - 2  # number of axes other than images and channels
    if axis == 1:
        bias = bias.reshape(*bias.shape, *([1] * inner))
    elif bias.ndim == 2:
        bias = bias.reshape(len(bias), *([1] * inner), -1)
    return output.add_(bias.to(output.dtype))


def fold_biases(net: nn.Module, layout: BiasLayout, values: torch.Tensor) -> nn.Module:
    """Fold the biases of one task into a network.

    Args:
        net: network of the backbone; it is not modified.
        layout: the biased layers.
        values: (total,) tensor of the biases B in Eq. 1 and 2.

    Returns:
        A network that shares all weights with `net`, except the biases of the biased layers.

    Raises:
        BackboneError: the network lacks a layer of the layout, or the number of biases is wrong.
    """
    folded = own_modules(net)
    layers = biased_modules(folded, layout)
    check_total(layout, values)
    scaled = values.detach() * gains(layers).to(values)
    for layer, part in zip(layers, layout.slices, strict=True):
        layer.bias = with_bias(layer, scaled[part])
    return folded


@contextmanager
def folded_in(
    layers: tuple[Layer, ...], layout: BiasLayout, scaled: torch.Tensor
) -> Iterator[None]:
    """Fold biases into layers within the context, then restore the layers.

    Args:
        layers: biased modules; no other thread may use them within the context.
        layout: the biased layers.
        scaled: (total,) tensor of biases, already multiplied by `gains`.
    """
    own = [layer.bias for layer in layers]
    try:
        for layer, part in zip(layers, layout.slices, strict=True):
            layer.bias = with_bias(layer, scaled[part])
        yield
    finally:
        for layer, bias in zip(layers, own, strict=True):
            layer.bias = bias


def biased_modules(net: nn.Module, layout: BiasLayout) -> tuple[Layer, ...]:
    """Return the modules of the biased layers.

    Raises:
        BackboneError: the network lacks a layer of the layout.
    """
    modules = dict(net.named_modules())
    found: list[Layer] = []
    for layer in layout.chosen:
        module = modules.get(layer.name)
        if not isinstance(module, Layer) or len(module.weight) != layer.channels:
            raise BackboneError(
                f"expected a layer {layer.name!r} with {layer.channels} outputs, this network has "
                "none; the biases belong to another backbone"
            )
        found.append(module)
    return tuple(found)


def gains(layers: tuple[Layer, ...]) -> torch.Tensor:
    """Return the factors gamma / sigma of the folded norms, one for each bias, as float32."""
    return joined([(layer, norm_gain(layer)) for layer in layers])


def joined(parts: list[tuple[Layer, torch.Tensor | float]]) -> torch.Tensor:
    """Join one number or (C,) tensor for each layer into a vector with one entry per channel."""
    return torch.cat(
        [
            torch.as_tensor(part, dtype=torch.float32).cpu().expand(len(layer.weight))
            for layer, part in parts
        ]
    )


def with_bias(layer: Layer, bias: torch.Tensor) -> nn.Parameter:
    """Return the sum of the bias of a layer and another bias."""
    weight, own = layer.weight, layer.bias
    added = bias.to(weight.device, torch.float32)
    total = added if own is None else own.detach().float() + added
    return nn.Parameter(total.to(weight.dtype), requires_grad=False)


def check_total(layout: BiasLayout, values: torch.Tensor) -> None:
    """Raise a BackboneError unless there is one value per bias."""
    if values.shape[-1:] != (layout.total,):
        raise BackboneError(
            f"expected {layout.total} biases, got {tuple(values.shape)}; they belong to another "
            "backbone or to other layers"
        )
