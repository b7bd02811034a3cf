"""Read TOML, and write the kinds of values that configurations contain."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from teachmesh.errors import UsageError


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML.

    Args:
        text: content of a file.
        source: name of the file, for error messages.

    Raises:
        UsageError: the text is not valid TOML; the message contains the line number.
    """
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"expected TOML in '{source}', got an error: {error}") from error
    return document


def write_toml(document: Mapping[str, Any]) -> str:
    """Return TOML for plain values, tables of plain values, and lists of such tables.

    If such a document d contains no None, `read_toml(write_toml(d), "") == d`.

    Examples:
        >>> print(write_toml({"name": "x", "grid": [{"seeds": [0, 1]}]}), end="")
        name = "x"
        <BLANKLINE>
        [[grid]]
        seeds = [0, 1]
    """
    lines: list[str] = []
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            tables.append((f"[{key}]", value))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            tables.extend((f"[[{key}]]", item) for item in value)
        else:
            lines.append(f"{key} = {_value(value)}")
    for title, table in tables:
        lines += ["", title, *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    raise UsageError(f"expected text, a number, a truth value or a list, got {value!r}")
