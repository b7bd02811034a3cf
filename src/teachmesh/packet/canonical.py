"""Canonical JSON (exactly one text for each value), and a JSON parser for untrusted text."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from teachmesh.errors import SkillRefused

# Counts have at most 19 digits, and floats in their shortest form at most 24 characters. Old
# Python versions need quadratic time for longer numbers.
_NUMBER_CHARACTERS = 32


def dump_canonical(value: object) -> str:
    """Return a value as JSON with sorted keys, no spaces, shortest floats and no escaped letters.

    Raises:
        SkillRefused: VALUE for a number that is not finite.
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except ValueError as error:
        raise SkillRefused("VALUE", "expected finite numbers in the card") from error


def parse_strict(text: str, subject: str, *, brackets: int, quotes: int | None = None) -> Any:
    """Parse JSON after checking limits on the cost of parsing.

    Args:
        text: JSON text; the caller has checked its length.
        subject: name of the text in error messages, such as "header".
        brackets: maximum number of "{" and "[" outside strings. This also limits the depth, so
            that the recursive parser cannot overflow the stack.
        quotes: maximum number of quotation marks, two per string; None for no limit.

    Returns:
        The parsed value.

    Raises:
        SkillRefused: LIMIT if a limit is exceeded; FORMAT if the text is not JSON or an object
            repeats a key; VALUE for NaN and Infinity.
    """
    # Remove pairs of backslashes first, so that any remaining \" is an escaped quotation mark.
    # A backslash outside a string is not JSON; the parser below rejects such text.
    bare = text.replace("\\\\", "").replace('\\"', "")
    if quotes is not None and bare.count('"') > quotes:
        raise SkillRefused("LIMIT", f"the {subject} holds more than {quotes // 2} strings")
    outside = "".join(bare.split('"')[::2])
    if outside.count("{") + outside.count("[") > brackets:
        raise SkillRefused("LIMIT", f"the {subject} holds more than {brackets} lists and objects")
    try:
        return json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_int=_bounded_int,
            parse_float=_bounded_float,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise SkillRefused("FORMAT", f"the {subject} is not JSON") from error


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise SkillRefused("FORMAT", "a JSON object holds one key twice")
    return values


def _bounded_int(digits: str) -> int:
    _check_length(digits)
    return int(digits)


def _bounded_float(digits: str) -> float:
    _check_length(digits)
    return float(digits)


def _check_length(digits: str) -> None:
    if len(digits) > _NUMBER_CHARACTERS:
        raise SkillRefused("LIMIT", f"a number has more than {_NUMBER_CHARACTERS} characters")


def _refuse_constant(name: str) -> NoReturn:
    raise SkillRefused("VALUE", f"expected a finite number, got {name}")
