"""Build any timm network as a backbone, with taps chosen by rules.

Taps by kind of network:

- EfficientNet-like networks (also MobileNets): the pooled *input* of the projecting convolution in
  the last block of every stage, which is the expanded activation before the bottleneck.
- other networks with stages: the pooled output of every stage that timm lists in `feature_info`.
  The final stage is left out if its pooled output is the latent itself.
- transformers: the mean of all tokens after a quarter, a half and three quarters of the blocks.

The last tap is always the pooled output of the network, the paper's latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn

from teachmesh.data.names import did_you_mean
from teachmesh.errors import BackboneError, MissingExtraError
from teachmesh.model.backbone_recipe import Option
from teachmesh.model.forward_pass import Preprocessing
from teachmesh.model.timm_weights import ensure_torchvision, fill, published_weights

if TYPE_CHECKING:
    from types import ModuleType

Options = Mapping[str, Option]


@dataclass(frozen=True)
class Tap:
    """A place in a network where an activation is read.

    Attributes:
        module: dotted name of the module.
        side: the activation of the module to read: its input or its output.
    """

    module: str
    side: Literal["input", "output"]

    def __str__(self) -> str:
        return f"{self.module}.{self.side}"


class TapNet(nn.Module):
    """A timm network that returns its pooled taps instead of classes.

    Not thread-safe, because hooks collect the taps.

    Args:
        net: network without classifier.
        taps: inner taps, in the order in which `forward` returns them.
    """

    def __init__(self, net: nn.Module, taps: tuple[Tap, ...]) -> None:
        super().__init__()
        self.net = net
        self.taps = taps
        # Swin and similar networks have feature maps (N, H, W, C).
        self._pooled_axes = (1, 2) if getattr(net, "output_fmt", "") == "NHWC" else (2, 3)

    @property
    def tap_names(self) -> tuple[str, ...]:
        """Names of the taps, in the order in which `forward` returns them."""
        return (*map(str, self.taps), "last")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute one (N, C_i) tensor per tap from (N, 3, H, W) normalised images.

        Raises:
            BackboneError: a tap produced no activation in this pass.
        """
        found: dict[Tap, Tensor] = {}
        # Hooks are removed after each pass; otherwise a copy would write into this module.
        hooks = [self._watch(tap, found) for tap in self.taps]
        try:
            features = self.net.forward_features(x)  # type: ignore[operator]
            last = self.net.forward_head(features, pre_logits=True)  # type: ignore[operator]
        finally:
            for hook in hooks:
                hook.remove()
        missing = [str(tap) for tap in self.taps if tap not in found]
        if missing:
            raise BackboneError(
                f"expected an activation at {missing[0]}, this network gives none; it cannot be "
                "a backbone"
            )
        return (*(found[tap] for tap in self.taps), last.flatten(1))

    def _watch(self, tap: Tap, found: dict[Tap, Tensor]) -> torch.utils.hooks.RemovableHandle:
        module = self.net.get_submodule(tap.module)
        if tap.side == "input":

            def before(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
                found[tap] = self._pool(args[0])

            return module.register_forward_pre_hook(before)

        def after(_module: nn.Module, _args: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim in (3, 4):
                found[tap] = self._pool(output)

        return module.register_forward_hook(after)

    def _pool(self, activation: Tensor) -> Tensor:
        if activation.ndim == 3:  # (N, tokens, C)
            return activation.mean(1)
        return activation.mean(self._pooled_axes)  # (N, C)


def import_timm() -> ModuleType:
    """Import timm, with the torchvision shim if it is needed.

    Raises:
        MissingExtraError: timm is not installed.
    """
    try:
        ensure_torchvision()
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "timm") from error
    module: ModuleType = timm
    return module


def build_network(name: str, options: Options, state: Mapping[str, Tensor]) -> nn.Module:
    """Build a timm network without classifier and fill it with weights.

    Args:
        name: timm's name of the network, with or without tag.
        options: additional arguments of the network.
        state: weights by timm's key names, with or without the classifier.

    Returns:
        The frozen network, in evaluation mode.

    Raises:
        BackboneError: the name or an option is unknown, or the weights do not fit.
    """
    net = create(name, pretrained=False, num_classes=0, **options)
    fill(net, name, state)
    return net.eval().requires_grad_(False)


def build_taps(name: str, options: Options, state: Mapping[str, Tensor]) -> TapNet:
    """Build a timm network with its taps; arguments and errors as for `build_network`."""
    net = build_network(name, options, state)
    return TapNet(net, find_taps(net)).eval()


def download_state(name: str, options: Options) -> dict[str, Tensor]:
    """Download the published weights of a network.

    Raises:
        BackboneError: the name or an option is unknown, no weights are published, or there is no
            connection.
    """
    check_timm_name(name)
    overlay = published_weights(import_timm().get_pretrained_cfg(name))
    net = create(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **options)
    return {key: value.contiguous() for key, value in net.state_dict().items()}


def create(name: str, **arguments: Any) -> nn.Module:
    """Call timm's `create_model`.

    Raises:
        BackboneError: the name is unknown, or the network does not take an argument.
    """
    timm = import_timm()
    check_timm_name(name)
    try:
        return cast("nn.Module", timm.create_model(name, **arguments))
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BackboneError(
            f"expected options that {name} takes, timm says: {reason}; leave --option out or "
            "check timm's documentation"
        ) from error


def find_taps(net: nn.Module) -> tuple[Tap, ...]:
    """Find the inner taps of a timm network by the rules in the docstring of this module."""
    modules = dict(net.named_modules())
    blocks = modules.get("blocks")
    if isinstance(blocks, nn.Sequential) and all(isinstance(b, nn.Sequential) for b in blocks):
        lengths = [len(cast("nn.Sequential", stage)) for stage in blocks]
        return tuple(
            _expanded(modules, f"blocks.{stage}.{length - 1}")
            for stage, length in enumerate(lengths)
        )
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) >= 4:
        depth = len(blocks)
        return tuple(Tap(f"blocks.{depth * part // 4 - 1}", "output") for part in (1, 2, 3))
    return _stages(net, modules)


def _expanded(modules: Mapping[str, nn.Module], block: str) -> Tap:
    for conv in ("conv_pwl", "conv_pw"):
        if f"{block}.{conv}" in modules:
            return Tap(f"{block}.{conv}", "input")
    return Tap(block, "output")


def _stages(net: nn.Module, modules: Mapping[str, nn.Module]) -> tuple[Tap, ...]:
    info = [entry for entry in getattr(net, "feature_info", None) or [] if isinstance(entry, dict)]
    width = getattr(net, "num_features", None)
    if info and width == info[-1]["num_chs"] == getattr(net, "head_hidden_size", width):
        info = info[:-1]
    return tuple(Tap(str(e["module"]), "output") for e in info if str(e["module"]) in modules)


@cache
def default_preprocessing(name: str) -> Preprocessing:
    """Read size, mean and deviation from timm's configuration of a network.

    Raises:
        BackboneError: timm has no such network.
    """
    timm = import_timm()
    check_timm_name(name)
    config = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    mean, std = tuple(config.mean), tuple(config.std)
    return Preprocessing(
        int(config.input_size[-1]),
        (float(mean[0]), float(mean[1]), float(mean[2])),
        (float(std[0]), float(std[1]), float(std[2])),
    )


def check_timm_name(name: str) -> None:
    """Raise a BackboneError, suggesting the nearest name, unless timm has the network."""
    timm = import_timm()
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        hint = did_you_mean(base, timm.list_models())
        raise BackboneError(f"expected the name of a timm network, got {name!r}{hint}")
    known = [full.partition(".")[2] for full in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in known:
        hint = did_you_mean(name, [f"{base}.{one}" for one in known])
        raise BackboneError(f"expected a tag of {base} that timm knows, got {name!r}{hint}")
