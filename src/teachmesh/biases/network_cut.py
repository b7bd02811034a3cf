"""Split a network at a cut, to run the first part once and the rest any number of times.

The paper proposes biases on the last half of the layers, at half the cost (Sec. 8). When the
activations at the cut are kept, the first half is computed once per image instead of once per
epoch. To answer a question, the second pass then runs only the rest of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from teachmesh.biases.cut_plan import (
    IMAGES,
    Key,
    Made,
    Passed,
    SuffixPlan,
    Watcher,
    key_of,
    run_watched,
    swap,
    tensors,
)
from teachmesh.model.forward_pass import Tensors


class _CutReached(Exception):
    """Exception that stops the forward pass at the cut."""


class Split:
    """A network whose forward pass can stop at a cut and resume there.

    Not thread-safe.

    Args:
        net: network in evaluation mode that takes (N, 3, S, S) float images and returns a tuple of
            tensors (N, C_i). Its weights are not modified. Hooks on its modules run in every pass.
        plan: plan of the cut, made for a network of the same structure. With None, `prefix` returns
            the images, and `suffix` runs the whole network.
    """

    def __init__(self, net: nn.Module, plan: SuffixPlan | None) -> None:
        self.net = net
        self.plan = plan

    def whole(self, images: torch.Tensor) -> Tensors:
        """Run the whole network."""
        outputs: Tensors = self.net(images)
        return outputs

    @torch.no_grad()
    def prefix(self, images: torch.Tensor) -> Tensors:
        """Compute the tensors that cross the cut.

        Args:
            images: (N, 3, S, S) normalised float images.

        Returns:
            Tensors with N rows each.
        """
        if self.plan is None:
            return (images,)
        keeper = _Keeper(self.plan, images, stop=True)
        with suppress(_CutReached):
            run_watched(self.net, self.plan.at, keeper, images)
        return keeper.rows()

    def both(self, images: torch.Tensor) -> tuple[Tensors, Tensors]:
        """In one pass, compute the outputs and the tensors that cross the cut."""
        if self.plan is None:
            return self.whole(images), (images,)
        keeper = _Keeper(self.plan, images, stop=False)
        outputs = run_watched(self.net, self.plan.at, keeper, images)
        return tuple(outputs), keeper.rows()

    def suffix(self, kept: Sequence[torch.Tensor]) -> Tensors:
        """Run the network from the cut to the end.

        Args:
            kept: tensors from `prefix`; they are not modified.
        """
        if self.plan is None:
            return self.whole(kept[0])
        size, first = self.plan.size, kept[0]
        resumer = _Resumer(self.plan, kept)
        images = torch.empty(len(first), 3, size, size, device="meta", dtype=first.dtype)
        outputs = run_watched(self.net, self.plan.at, resumer, images)
        return tuple(resumer.real(output) for output in outputs)


class _Keeper(Watcher):
    """Collect the tensors that cross the cut."""

    def __init__(self, plan: SuffixPlan, images: torch.Tensor, *, stop: bool) -> None:
        super().__init__()
        self._plan = plan
        self._stop = stop
        self._found: dict[Key, torch.Tensor] = {IMAGES: images}
        self._wanted = {tensor.key for tensor in plan.kept}

    def number(self, result: Any) -> None:
        super().number(result)
        for tensor in tensors(result):
            key = key_of(tensor)
            if key in self._wanted and key is not None:
                self._found[key] = tensor

    def reach(self) -> None:
        if not self.reached and not self._stop:
            # The tensor is cloned, because operations after the cut may modify it in place.
            self._found = {key: self._found[key].clone() for key in self._wanted}
        super().reach()
        if self._stop:
            raise _CutReached

    def rows(self) -> Tensors:
        """Return the kept tensors, each with one row per image."""
        rows = []
        for tensor in self._plan.kept:
            found = self._found[tensor.key]
            rows.append(found if tensor.parts == 1 else found.view(-1, *tensor.shape))
        return tuple(rows)


class _Resumer(Watcher):
    """Replace results before the cut by meta tensors; use the kept tensors after the cut."""

    def __init__(self, plan: SuffixPlan, kept: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._plan = plan
        self._n = len(kept[0])
        self._device = kept[0].device
        # These are copies, because the rest of the network may modify them in place.
        self._kept = {
            tensor.key: (rows if tensor.parts == 1 else rows.flatten(0, 1)).clone()
            for tensor, rows in zip(plan.kept, kept, strict=True)
        }

    def before(self, func: Any, args: Any, kwargs: Any) -> Any:
        given = list(tensors((args, kwargs)))
        if not any(key_of(tensor) for tensor in given):
            return func(*args, **kwargs)  # this call does not depend on the images
        place = self.calls
        if place < len(self._plan.two) and func == self._plan.two[place].function:
            two, three = self._plan.two[place].result, self._plan.three[place].result
            result = self._remake(two, three, given)
            self.number(result)
            return result
        # The call reads a property such as the shape, which meta tensors also have.
        return self._placed(func(*args, **kwargs))

    def after(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._placed(func(*swap(args, self.real), **swap(kwargs, self.real)))

    def real(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the kept tensor for a meta tensor; return other tensors unchanged."""
        key = key_of(tensor) if tensor.is_meta else None
        return tensor if key is None else self._kept.get(key, tensor)

    def _remake(self, two: Any, three: Any, given: list[torch.Tensor]) -> Any:
        """Build the result of a call for N images from its results for two and three images."""
        if isinstance(two, Passed):
            return given[two.position]
        if isinstance(two, Made):
            # Every size is a linear function of N.
            shape = [
                b + (c - b) * (self._n - 2) for b, c in zip(two.shape, three.shape, strict=True)
            ]
            return torch.empty(shape, device="meta", dtype=two.dtype)
        if isinstance(two, tuple | list):
            return type(two)([self._remake(b, c, given) for b, c in zip(two, three, strict=True)])
        return two

    def _placed(self, result: Any) -> Any:
        """Replace the meta device by the device of the kept tensors."""
        is_meta = isinstance(result, torch.device) and result.type == "meta"
        return self._device if is_meta else result
