"""Biases on the layers of a network while a pass lasts.

Biases of one task that nothing learns are folded into the layers' own, at no cost. Biases that are
learned, and those of a batch of several tasks, are added to the layers' outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from teachmesh.biases.bias_folding import biased_modules, folded_in
from teachmesh.biases.bias_layout import BiasLayout
from teachmesh.biases.cut_plan import SuffixPlan
from teachmesh.biases.network_cut import Split
from teachmesh.errors import BackboneError
from teachmesh.model.forward_pass import own_modules

Watch = Callable[[int, torch.Tensor], None]
"""Is told the place of a biased layer in the layout and its output, biases included; the channels
lie along the output's axis 1, wherever the layer has them."""


class BiasRunner:
    """The network with biases on, for one thread.

    Args:
        net: the backbone's; left as it is.
        layout: which layers.
        plan: where it is cut.
    """

    def __init__(self, net: nn.Module, layout: BiasLayout, plan: SuffixPlan | None) -> None:
        self.split = Split(own_modules(net), plan)
        self._layout = layout
        self._layers = biased_modules(self.split.net, layout)

    @contextmanager
    def biased(self, scaled: torch.Tensor | None, watch: Watch | None) -> Iterator[None]:
        """Biases on the layers while the context lasts.

        Args:
            scaled: (total,) or (N, total) biases times `gains`, or none.
            watch: is told every output.
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
    """Eq. 1 and 2: B on a layer's output, in place.

    Args:
        output: (N, C, H, W), (N, C), (N, tokens, C) or the like; of networks that split images into
            P windows, (N * P, ...).
        bias: (C,), or (N, C), one row per image.
        axis: of the channels in the output: 1 or -1.

    Returns:
        The output.

    Raises:
        BackboneError: the output's first axis is not the images'.

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
    inner = output.ndim - 2  # axes beside the images' and the channels'
    if axis == 1:
        bias = bias.reshape(*bias.shape, *([1] * inner))
    elif bias.ndim == 2:
        bias = bias.reshape(len(bias), *([1] * inner), -1)
    return output.add_(bias.to(output.dtype))
