"""Batch norms folded into the convolutions before them: the same outputs, less work.

Which norm follows which convolution is *observed* on one forward pass, so this works on any
network, timm's BatchNormAct2d (norm and activation in one) included.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4
_GAIN = "_teachmesh_norm_gain"
_DEVIATION = "_teachmesh_norm_deviation"


@dataclass(frozen=True)
class _Pair:
    conv: str
    norm: str


def fold_batch_norms(net: nn.Module, size: int = 64) -> nn.Module:
    """A copy of a network without the batch norms that directly follow a convolution.

    Args:
        net: in evaluation mode; left as it is.
        size: side of the probe image in pixels.

    Returns:
        The folded copy; a plain copy where folding would change one of the outputs by more than
        1e-4 (relative to that output's largest value).
    """
    probe = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pairs, expected = _observe(net, probe)
        folded = copy.deepcopy(net)
        for pair in pairs:
            _fold(folded, pair)
        found = _parts(folded(probe))
    # NaN fails the comparison too, and then the plain copy is right.
    if not all(_error(f, e) <= TOLERANCE for f, e in zip(found, expected, strict=True)):
        folded = copy.deepcopy(net)
    for pair in pairs:
        _note_deviation(folded.get_submodule(pair.conv), net.get_submodule(pair.norm))
    return folded


def norm_gain(layer: nn.Module) -> torch.Tensor | float:
    """What a value added to a layer's output before its norm is multiplied by, folded: (C,).

    A norm with weight gamma and deviation sigma passes y + B on as (y + B) gamma / sigma + ...,
    so B comes out of the folded convolution as B gamma / sigma. 1 where nothing was folded.
    """
    found: torch.Tensor | float = layer.__dict__.get(_GAIN, 1.0)
    return found


def norm_deviation(layer: nn.Module) -> torch.Tensor | float:
    """Sigma of the batch norm that follows a layer, folded or not: (C,); 1 where none does."""
    found: torch.Tensor | float = layer.__dict__.get(_DEVIATION, 1.0)
    return found


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _observe(net: nn.Module, probe: torch.Tensor) -> tuple[list[_Pair], tuple[torch.Tensor, ...]]:
    """Convolutions whose output goes into one batch norm, and the outputs of the network.

    What else reads a convolution's output cannot be seen; the comparison on the probe tells.
    """
    made: dict[int, str] = {}
    alive: list[torch.Tensor] = []  # keeps ids from being used twice during the pass
    pairs: list[_Pair] = []
    names = {module: name for name, module in net.named_modules()}

    def after_conv(module: nn.Module, _args: object, output: torch.Tensor) -> None:
        made[id(output)] = names[module]
        alive.append(output)

    def before_norm(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        conv = made.get(id(args[0]))
        if conv is not None:
            pairs.append(_Pair(conv, names[module]))

    hooks = [
        module.register_forward_hook(after_conv)
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(before_norm)
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        outputs = _parts(net(probe))
    finally:
        for hook in hooks:
            hook.remove()
    norms = [pair.norm for pair in pairs]
    convs = [pair.conv for pair in pairs]
    once = [p for p in pairs if norms.count(p.norm) == 1 and convs.count(p.conv) == 1]
    return once, outputs


def _fold(net: nn.Module, pair: _Pair) -> None:
    conv, norm = net.get_submodule(pair.conv), net.get_submodule(pair.norm)
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        return
    if norm.running_mean is None or conv.padding_mode != "zeros":
        return
    # A fused convolution of the same class: timm's "same" padding lives in the subclass.
    fused = copy.deepcopy(conv)
    plain = fuse_conv_bn_eval(conv, norm)
    fused.weight, fused.bias = plain.weight, plain.bias
    deviation = _deviation(norm)
    gain = deviation.reciprocal() if norm.weight is None else norm.weight.detach() / deviation
    fused.__dict__[_GAIN] = gain.float()
    _replace(net, pair.conv, fused)
    _replace(net, pair.norm, _what_is_left(norm))


def _note_deviation(conv: nn.Module, norm: nn.Module) -> None:
    if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
        conv.__dict__[_DEVIATION] = _deviation(norm).float()


def _deviation(norm: nn.BatchNorm2d) -> torch.Tensor:
    if norm.running_var is None:
        raise AssertionError("only norms with statistics are folded")
    return (norm.running_var + norm.eps).sqrt()


def _what_is_left(norm: nn.BatchNorm2d) -> nn.Module:
    """Timm's BatchNormAct2d also drops and activates."""
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    rest = [module for module in rest if not isinstance(module, nn.Identity)]
    return nn.Sequential(*rest) if rest else nn.Identity()


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)


def _parts(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
