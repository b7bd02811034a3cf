"""Options that take several values, comma-separated."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from teachmesh.errors import UsageError

_Value = TypeVar("_Value")


def words(text: str | None) -> tuple[str, ...] | None:
    """The words of an option; None where it is not given.

    >>> words("moments, maha")
    ('moments', 'maha')
    """
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def integers(text: str) -> tuple[int, ...]:
    """At least one whole number.

    Raises:
        UsageError: something else, or nothing.

    >>> integers("1,10,102")
    (1, 10, 102)
    """
    return _values(text, int, "whole numbers")


def numbers(text: str) -> tuple[float, ...]:
    """At least one number.

    Raises:
        UsageError: something else, or nothing.

    >>> numbers("1e12, 5e11")
    (1000000000000.0, 500000000000.0)
    """
    return _values(text, float, "numbers")


def _values(text: str, kind: Callable[[str], _Value], what: str) -> tuple[_Value, ...]:
    try:
        found = tuple(kind(word) for word in words(text) or ())
    except ValueError:
        found = ()
    if not found:
        raise UsageError(f"expected {what} separated by commas, got {text!r}")
    return found
