"""Check baselines of other packages, the entry points of the group `teachmesh.baselines`."""

from __future__ import annotations

import inspect
from typing import Any

from teachmesh_lab.baselines.baseline import Baseline
from teachmesh_lab.baselines.frozen import FrozenBaseline

AnyBaseline = type[Baseline] | type[FrozenBaseline]


def check_baseline(name: str, found: Any) -> AnyBaseline:
    """Return the object of an entry point if it is a baseline.

    Args:
        name: name of the entry point.
        found: the loaded object.

    Raises:
        TypeError: the object is no complete subclass of `Baseline` or `FrozenBaseline`, or does not
            name its source.
        ValueError: its grid is invalid.
    """
    if not (isinstance(found, type) and issubclass(found, Baseline | FrozenBaseline)):
        raise TypeError(f"expected a subclass of Baseline or FrozenBaseline, got {found!r:.80}")
    if inspect.isabstract(found):
        raise TypeError(f"it lacks {', '.join(sorted(getattr(found, '__abstractmethods__', ())))}")
    if not isinstance(getattr(found, "source", None), str):
        raise TypeError(f"expected the publication of {name!r} as text in `source`")
    if not all(isinstance(values, tuple) and values for values in found.grid.values()):
        raise ValueError(f"expected a tuple of values for every hyper-parameter, got {found.grid}")
    return found
