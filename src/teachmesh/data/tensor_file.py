"""Files of named arrays; the bytes of a file depend only on its content.

The format is safetensors, so any tool for safetensors can read the files. A file's hash is its id,
and must not depend on the version of the safetensors library. Therefore the writer does not use
the library. The reader accepts only files that are exactly as the writer makes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

METADATA_KEY = "teachmesh"
HEADER_LIMIT_BYTES = 1 << 18
# Ordered as in the safetensors library: the widest dtype first, to keep all arrays aligned.
_DTYPES = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U8": "|u1"}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}
_RANK = {name: rank for rank, name in enumerate(_DTYPES)}

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, eq=False)
class SavedArrays:
    """Derived arrays in one file; changes of the arrays do not change the file.

    Attributes:
        name: name of the file.
        keys: one text per slot of the arrays.
        arrays: arrays by name.
    """

    name: str
    keys: tuple[str, ...]
    arrays: Arrays


def write_tensors(document: Mapping[str, Any], tensors: Arrays) -> bytes:
    """Encode arrays and a JSON document as one file.

    Args:
        document: JSON values for the header, written in canonical form.
        tensors: mapping from names to float32, float16, int8 or uint8 arrays.

    Returns:
        The bytes of the file; equal content gives equal bytes on every machine.
    """
    named = [(name, _NAMES[tensors[name].dtype], tensors[name]) for name in tensors]
    named.sort(key=lambda item: (_RANK[item[1]], item[0]))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    header: dict[str, object] = {"__metadata__": {METADATA_KEY: text}}
    begin = 0
    for name, dtype, array in named:
        end = begin + array.nbytes
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    parts = [len(raw).to_bytes(8, "little"), raw]
    return b"".join([*parts, *(np.ascontiguousarray(array).tobytes() for _, _, array in named)])


def read_tensors(data: bytes, schema: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file written by `write_tensors`; reject any other encoding of the content.

    Args:
        data: bytes of the file.
        schema: required value of `document["schema"]`.

    Returns:
        The document and the arrays, which are writable.

    Raises:
        ValueError: the data is not a valid file; the message is a clause like "it has no header".
    """
    header, start = _header(data)
    try:
        document = _parsed(header.pop("__metadata__")[METADATA_KEY])
        found = document["schema"]
        tensors = {name: _array(entry, data, start) for name, entry in header.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("its header is malformed") from error
    if found != schema:
        raise ValueError(f"its schema is {str(found)[:60]!r}, expected {schema!r}")
    # Each content has exactly one encoding, so that a hash of the bytes is a hash of the content.
    if write_tensors(document, tensors) != data:
        raise ValueError("it was not written in canonical form")
    return document, tensors


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8], "little")
    start = 8 + length
    if not 0 < length <= min(HEADER_LIMIT_BYTES, len(data) - 8):
        raise ValueError("it has no header")
    return _parsed(data[8:start]), start


def _parsed(text: bytes | str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is malformed") from error
    if not isinstance(value, dict):
        raise ValueError("its header is malformed")  # noqa: TRY004 - the caller handles only ValueError
    return value


def _array(entry: Mapping[str, Any], data: bytes, start: int) -> np.ndarray:
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    offsets, shape = entry["data_offsets"], tuple(entry["shape"])
    begin, end = offsets if len(offsets) == 2 else (-1, -1)
    if any(type(number) is not int or number < 0 for number in (begin, end, *shape)):
        raise ValueError("its shapes are malformed")
    size_bytes = math.prod(shape) * dtype.itemsize
    if end - begin != size_bytes or start + end > len(data):
        raise ValueError("it is cut off or its shapes are wrong")
    body = data[start + begin : start + end]
    array: np.ndarray = np.frombuffer(body, dtype=dtype).reshape(shape).copy()
    return array
