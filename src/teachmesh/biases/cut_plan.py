"""Plan the cut of a network by finding the activations that cross it.

The forward pass runs unchanged under a watcher, a `TorchFunctionMode` that intercepts every call of
a torch function. The watcher numbers every tensor that depends on the images. A tensor that is made
before the cut and read after the cut has to be kept. The code of the network is not traced, so
residual connections, taps and hooks need no special rules.

Planning runs the network on two images and then on three, to find the sizes that grow with the
number of images. (Meta tensors would avoid the computation, but torch needs two seconds to load its
code for meta tensors.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from teachmesh.model.forward_pass import own_modules

Key = tuple[int, int]
"""Number of the call that made a tensor, and the index of the tensor in its result."""
IMAGES: Key = (-1, 0)
_MARK = "_teachmesh_key"


@dataclass(frozen=True)
class Made:
    """Shape and data type of a new tensor that was returned by a call."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Passed:
    """Position of the argument that a call returned unchanged or modified in place."""

    position: int


@dataclass(frozen=True)
class Call:
    """A call of a torch function on tensors that depend on the images.

    Attributes:
        function: the torch function.
        result: its result, with `Made` or `Passed` in place of tensors.
    """

    function: Callable[..., Any]
    result: Any


@dataclass(frozen=True)
class KeptTensor:
    """A tensor that crosses the cut.

    Attributes:
        key: identifier of the tensor.
        parts: number of rows per image; above 1 if the network splits images into windows.
        shape: shape of the tensor for one image.
        dtype: data type of the tensor.
    """

    key: Key
    parts: int
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class SuffixPlan:
    """A network cut at the input of one of its modules.

    Attributes:
        at: dotted name of the module at the cut.
        size: side of the images in pixels.
        kept: tensors that cross the cut.
        two: recorded calls before the cut, for two images.
        three: recorded calls before the cut, for three images.
    """

    at: str
    size: int
    kept: tuple[KeptTensor, ...]
    two: tuple[Call, ...]
    three: tuple[Call, ...]


class Watcher(TorchFunctionMode):
    """Intercept the torch functions of a forward pass; number tensors that depend on the images.

    Only calls that return tensors are numbered. Therefore the numbers do not change if other code
    reads the shape of a tensor (or its gradient, as a counter of operations does).
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.reached = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return self.after(func, args, kwargs) if self.reached else self.before(func, args, kwargs)

    def reach(self) -> None:
        """Record that the forward pass has reached the cut."""
        self.reached = True

    def before(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Execute a call that precedes the cut; number its result if it depends on the images."""
        result = func(*args, **kwargs)
        if any(key_of(tensor) for tensor in tensors((args, kwargs))):
            self.number(result)
        return result

    def after(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Execute a call that follows the cut."""
        return func(*args, **kwargs)

    def number(self, result: Any) -> None:
        """Number the tensors in the result of a call."""
        made = list(tensors(result))
        for place, tensor in enumerate(made):
            mark(tensor, (self.calls, place))
        self.calls += bool(made)


class _Planner(Watcher):
    """Record the calls before the cut, and note which of their results are read after the cut."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Call] = []
        self.made: dict[Key, Made] = {}
        self.read: set[Key] = set()

    def before(self, func: Any, args: Any, kwargs: Any) -> Any:
        given = list(tensors((args, kwargs)))
        depends = any(key_of(tensor) for tensor in given)
        result = func(*args, **kwargs)
        if depends and any(True for _ in tensors(result)):
            self.noted.append(Call(func, swap(result, lambda tensor: _note(tensor, given))))
            self.number(result)
        return result

    def after(self, func: Any, args: Any, kwargs: Any) -> Any:
        keys = {key for tensor in tensors((args, kwargs)) if (key := key_of(tensor))}
        result = func(*args, **kwargs)
        if any(True for _ in tensors(result)):
            self.read |= keys
        return result

    def number(self, result: Any) -> None:
        super().number(result)
        self.made |= {
            key: shape_of(tensor) for tensor in tensors(result) if (key := key_of(tensor))
        }


def plan_suffix(net: nn.Module, at: str, size: int) -> SuffixPlan | None:
    """Plan to cut a network at the input of a module.

    Args:
        net: network that takes (N, 3, S, S) float images and returns a tuple of tensors; it is not
            modified.
        at: dotted name of a module that the forward pass calls.
        size: side of the images in pixels, S.

    Returns:
        The plan, or None if a tensor that crosses the cut cannot be split by image.
    """
    own = own_modules(net)
    two, three = (_watch(own, at, size, n) for n in (2, 3))
    if two.read != three.read or len(two.noted) != len(three.noted):
        return None
    kept = [_per_image(key, two.made[key], three.made[key]) for key in sorted(two.read)]
    whole = tuple(tensor for tensor in kept if tensor is not None)
    if len(whole) < len(kept):
        return None
    return SuffixPlan(at, size, whole, tuple(two.noted), tuple(three.noted))


def _watch(net: nn.Module, at: str, size: int, n: int) -> _Planner:
    planner = _Planner()
    weight = next(net.parameters())
    images = torch.zeros(n, 3, size, size, device=weight.device, dtype=weight.dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    planner.made[IMAGES] = shape_of(images)
    with torch.no_grad():
        outputs = run_watched(net, at, planner, images)
    planner.read |= {key for tensor in tensors(outputs) if (key := key_of(tensor))}
    return planner


def run_watched(net: nn.Module, at: str, watcher: Watcher, images: torch.Tensor) -> Any:
    """Run a network under a watcher and notify the watcher at the cut; return the outputs."""
    module = net.get_submodule(at)
    hook = module.register_forward_pre_hook(lambda *_: watcher.reach(), prepend=True)
    mark(images, IMAGES)
    try:
        with watcher:
            return net(images)
    finally:
        hook.remove()


def _per_image(key: Key, two: Made, three: Made) -> KeptTensor | None:
    if not two.shape or two.shape[1:] != three.shape[1:] or two.dtype != three.dtype:
        return None
    parts, odd = divmod(two.shape[0], 2)
    if odd or three.shape[0] != 3 * parts:
        return None
    shape = two.shape[1:] if parts == 1 else (parts, *two.shape[1:])
    return KeptTensor(key, parts, shape, two.dtype)


def key_of(tensor: torch.Tensor) -> Key | None:
    """Return the key of a tensor, or None if it does not depend on the images."""
    key: Key | None = tensor.__dict__.get(_MARK)
    return key


def mark(tensor: torch.Tensor, key: Key) -> None:
    """Store the key of a tensor in an attribute; this keeps no other object alive."""
    tensor.__dict__[_MARK] = key


def tensors(tree: Any) -> Iterator[torch.Tensor]:
    """Yield all tensors in nested tuples, lists and dictionaries."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, tuple | list):
        for item in tree:
            yield from tensors(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from tensors(item)


def swap(tree: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """Rebuild nested tuples, lists and dictionaries, with `change` applied to every tensor."""
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, tuple | list) and any(True for _ in tensors(tree)):
        # Torch's named tuples are built from one iterable, like plain tuples and lists.
        return type(tree)([swap(item, change) for item in tree])
    if isinstance(tree, dict):
        return {name: swap(item, change) for name, item in tree.items()}
    return tree


def _note(tensor: torch.Tensor, given: list[torch.Tensor]) -> Made | Passed:
    for position, other in enumerate(given):
        if other is tensor:
            return Passed(position)
    return shape_of(tensor)


def shape_of(tensor: torch.Tensor) -> Made:
    """Return the shape and data type of a tensor."""
    return Made(tuple(tensor.shape), tensor.dtype)
