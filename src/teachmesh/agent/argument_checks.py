"""Checks of the values of arguments and options, by their annotations.

A value of the wrong type is a `UsageError` with one sentence, raised before any work is done. Types
that are not in `KINDS`, such as images, are checked where they are used.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from numbers import Integral, Real
from typing import ParamSpec, TypeVar

from teachmesh.data.names import shown
from teachmesh.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    if isinstance(value, bool):  # in Python a bool is also an int
        return False
    return isinstance(value, Real)  # ranges, and NaN, are checked where the number is used


def _is_whole(value: object) -> bool:
    return _is_number(value) and isinstance(value, Integral) and int(value) >= 0


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike) and "\0" not in os.fspath(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _are_fractions(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return all(_is_number(item) and item >= 0 for item in value) and sum(value) <= 0.9


KINDS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "str": ("a text", _is_text),
    "Layout": ("a text", _is_text),
    "str | int": ("a text or a whole number", lambda v: _is_text(v) or _is_whole(v)),
    "bool": ("True or False", lambda value: isinstance(value, bool)),
    "int": ("a whole number from 0", _is_whole),
    "float": ("a number", _is_number),
    "Path": ("a path", _is_path),
    "str | Path": ("a path", _is_path),
    "Sequence[str]": ("a list of texts", _are_texts),
    "str | Sequence[str]": ("a text or a list of texts", lambda v: _is_text(v) or _are_texts(v)),
    "tuple[float, float]": ("two fractions of at most 0.9 in all", _are_fractions),
    "bytes": ("bytes", lambda value: isinstance(value, bytes)),
    "Progress": ("a function", callable),
    "Callable[[str], None]": ("a function", callable),
    "Callable[[dict[str, Any]], None]": ("a function", callable),
}
"""Annotation -> words for a message, and a function that says whether a value has this type."""


def check_value(name: str, value: object, annotation: str) -> None:
    """Check one value by its annotation, such as "int | None".

    Args:
        name: name of the argument, for the message.
        value: the value to check.
        annotation: annotation in the source; one that is not in `KINDS` is not checked.

    Raises:
        UsageError: the value has another type.

    Examples:
        >>> check_value("seed", -1, "int")
        Traceback (most recent call last):
        ...
        teachmesh.errors.UsageError: expected a whole number from 0 for seed, got -1 (int)
    """
    kind = annotation.removesuffix(" | None")
    if kind not in KINDS or (value is None and kind != annotation):
        return
    words, is_right = KINDS[kind]
    if not is_right(value):
        got = f"{shown(repr(value), 60)} ({type(value).__name__})"
        raise UsageError(f"expected {words} for {name}, got {got}")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a function or method by their annotations before it is called."""
    signature = inspect.signature(function)
    annotations = {name: str(p.annotation) for name, p in signature.parameters.items()}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = dict(zip(signature.parameters, args, strict=False)) | kwargs
        for name, value in given.items():
            check_value(name, value, annotations.get(name, ""))
        return function(*args, **kwargs)

    return call
