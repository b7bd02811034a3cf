"""Running a network from the middle: the part before a cut once, the rest as often as one likes.

The paper proposes biases on the last half of the layers, at half the cost (Sec. 8). With what
crosses the cut kept, the first half is computed once per image instead of once per epoch, and the
second pass of an answer costs the rest only.
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
    """The network came to the cut."""


class Split:
    """A network that can stop at a cut and begin there.

    Not for several threads at once.

    Args:
        net: takes (N, 3, S, S) float images and returns a tuple of tensors (N, C_i); in evaluation
            mode. Its weights are left as they are; hooks on its modules work in every pass.
        plan: of a network of the same structure; None keeps the images themselves, and the rest
            is the whole network.
    """

    def __init__(self, net: nn.Module, plan: SuffixPlan | None) -> None:
        self.net = net
        self.plan = plan

    def whole(self, images: torch.Tensor) -> Tensors:
        """The network's own outputs."""
        outputs: Tensors = self.net(images)
        return outputs

    @torch.no_grad()
    def prefix(self, images: torch.Tensor) -> Tensors:
        """What crosses the cut.

        Args:
            images: (N, 3, S, S) floats.

        Returns:
            Tensors of N rows each.
        """
        if self.plan is None:
            return (images,)
        keeper = _Keeper(self.plan, images, stop=True)
        with suppress(_CutReached):
            run_watched(self.net, self.plan.at, keeper, images)
        return keeper.rows()

    def both(self, images: torch.Tensor) -> tuple[Tensors, Tensors]:
        """The network's own outputs, and what crosses the cut, from one pass."""
        if self.plan is None:
            return self.whole(images), (images,)
        keeper = _Keeper(self.plan, images, stop=False)
        outputs = run_watched(self.net, self.plan.at, keeper, images)
        return tuple(outputs), keeper.rows()

    def suffix(self, kept: Sequence[torch.Tensor]) -> Tensors:
        """The rest of the network.

        Args:
            kept: of `prefix`; left as they are.
        """
        if self.plan is None:
            return self.whole(kept[0])
        size, first = self.plan.size, kept[0]
        resumer = _Resumer(self.plan, kept)
        images = torch.empty(len(first), 3, size, size, device="meta", dtype=first.dtype)
        outputs = run_watched(self.net, self.plan.at, resumer, images)
        return tuple(resumer.real(output) for output in outputs)


class _Keeper(Watcher):
    """Keeps what crosses the cut."""

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
            # What comes after the cut may work in place.
            self._found = {key: self._found[key].clone() for key in self._wanted}
        super().reach()
        if self._stop:
            raise _CutReached

    def rows(self) -> Tensors:
        """The kept tensors, one row per image."""
        rows = []
        for tensor in self._plan.kept:
            found = self._found[tensor.key]
            rows.append(found if tensor.parts == 1 else found.view(-1, *tensor.shape))
        return tuple(rows)


class _Resumer(Watcher):
    """Answers calls before the cut with tensors that have no data, and puts in the kept ones."""

    def __init__(self, plan: SuffixPlan, kept: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._plan = plan
        self._n = len(kept[0])
        self._device = kept[0].device
        # Copies: the rest of the network may work in place.
        self._kept = {
            tensor.key: (rows if tensor.parts == 1 else rows.flatten(0, 1)).clone()
            for tensor, rows in zip(plan.kept, kept, strict=True)
        }

    def before(self, func: Any, args: Any, kwargs: Any) -> Any:
        given = list(tensors((args, kwargs)))
        if not any(key_of(tensor) for tensor in given):
            return func(*args, **kwargs)  # on weights alone: computed as ever
        place = self.calls
        if place < len(self._plan.two) and func == self._plan.two[place].function:
            two, three = self._plan.two[place].result, self._plan.three[place].result
            result = self._remake(two, three, given)
            self.number(result)
            return result
        # A question to a tensor, of its shape for instance: those have it, without data.
        return self._placed(func(*args, **kwargs))

    def after(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._placed(func(*swap(args, self.real), **swap(kwargs, self.real)))

    def real(self, tensor: torch.Tensor) -> torch.Tensor:
        """The kept tensor in place of one without data."""
        key = key_of(tensor) if tensor.is_meta else None
        return tensor if key is None else self._kept.get(key, tensor)

    def _remake(self, two: Any, three: Any, given: list[torch.Tensor]) -> Any:
        """The result of a call for N images, from that for two and that for three."""
        if isinstance(two, Passed):
            return given[two.position]
        if isinstance(two, Made):
            # A size is a * N + b.
            shape = [
                b + (c - b) * (self._n - 2) for b, c in zip(two.shape, three.shape, strict=True)
            ]
            return torch.empty(shape, device="meta", dtype=two.dtype)
        if isinstance(two, tuple | list):
            return type(two)([self._remake(b, c, given) for b, c in zip(two, three, strict=True)])
        return two

    def _placed(self, result: Any) -> Any:
        """Code that asks where a tensor is hears where the kept ones are."""
        is_meta = isinstance(result, torch.device) and result.type == "meta"
        return self._device if is_meta else result
