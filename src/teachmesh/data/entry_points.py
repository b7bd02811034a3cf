"""Objects that other installed packages offer through entry points.

The names of entry points are read without loading the packages. A package is loaded when its object
is needed for the first time. It is code that the user installed; nothing comes from peers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from teachmesh.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

MAPPERS_GROUP = "teachmesh.mappers"
BACKBONES_GROUP = "teachmesh.backbones"
TRANSPORTS_GROUP = "teachmesh.transports"
BASELINES_GROUP = "teachmesh.baselines"


@dataclass(frozen=True)
class EntryPoints(Generic[T]):
    """The objects of one entry-point group.

    Attributes:
        group: name of the group, such as "teachmesh.mappers".
        kind: word for these objects in messages, such as "mapper".
        check: function from a name and a loaded object to the object; raises `AttributeError`,
            `TypeError` or `ValueError` with the reason if the object cannot be used.
        taken: names of teachmesh itself, which no package can have.
    """

    group: str
    kind: str
    check: Callable[[str, Any], T]
    taken: Collection[str] = ()

    def names(self) -> tuple[str, ...]:
        """Return the sorted names that packages offer, without loading a package."""
        return offered_names(self.group, self.taken)

    def load(self, name: str) -> T:
        """Return the object with this name; the package is loaded on first use.

        Raises:
            ConfigError: no package offers the name, more than one does, the name is taken, or the
                object is broken; the message has one sentence.
        """
        points = _points(self.group).get(name, ())
        if not points:
            raise ConfigError(
                f"expected a package that offers the {self.kind} {name!r}, none is installed; "
                "install it"
            )
        if fault := self._fault(name, points):
            raise ConfigError(f"{_described(self.kind, points[0])} cannot be used: {fault}")
        found = _loaded(self.group, name)
        try:
            if isinstance(found, _Failed):
                raise TypeError(found.reason)
            return self.check(name, found)
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{_described(self.kind, points[0])} cannot be used: {error}; repair the package "
                "or uninstall it"
            ) from error

    def faults(self) -> list[str]:
        """Load all objects of the group; return one sentence per object that cannot be used."""
        sentences = []
        for name in sorted(_points(self.group)):
            try:
                self.load(name)
            except ConfigError as error:
                sentences.append(str(error))
        return sentences

    def _fault(self, name: str, points: tuple[EntryPoint, ...]) -> str:
        if name in self.taken:
            return "teachmesh itself has this name; give it another name in the package"
        if len(points) > 1:
            others = ", ".join(_package(point) for point in points)
            return f"several packages offer this name ({others}); uninstall all but one"
        return ""


def offered_names(group: str, taken: Collection[str] = ()) -> tuple[str, ...]:
    """Return the sorted names of the entry points of a group, except taken names.

    Args:
        group: name of the group.
        taken: names that no package can have.
    """
    return tuple(sorted(set(_points(group)) - set(taken)))


def package_of(group: str, name: str) -> str:
    """Return the package that offers a name, with its version, such as "own-mapper 0.1.0".

    Raises:
        KeyError: no package offers the name.
    """
    point = _points(group)[name][0]
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


@dataclass(frozen=True)
class _Failed:
    """An entry point that cannot be loaded."""

    reason: str


@cache
def _points(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name; equal ones of one package count once."""
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        known = found.get(point.name, ())
        if point.value not in [other.value for other in known]:
            found[point.name] = (*known, point)
    return found


@cache
def _loaded(group: str, name: str) -> Any:
    try:
        return _points(group)[name][0].load()
    # Code of another package can raise any exception; other commands must still work.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return _Failed(f"loading it failed with {reason}")


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name}, {point.value}"


def _described(kind: str, point: EntryPoint) -> str:
    return f"the {kind} {point.name!r} ({_package(point)})"
